//! Modules and their functions, owned.

use super::context::Context;
use super::error::DriverError;
use super::types::*;
use crate::cpu::CpuImage;
use std::ffi::CString;
use std::sync::Arc;

/// A module that can't be loaded, or a function that is not in it.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// A native image was given to a device of another kind.
    #[error("a native image can only be loaded by a cpu driver; device {ordinal} is a GPU")]
    NotNative {
        /// The device.
        ordinal: u32,
    },
    /// The name holds a zero byte.
    #[error("function name {0:?} holds a zero byte")]
    Name(String),
    /// The driver refused; `of` says for what.
    #[error("{of}: {error}")]
    Driver {
        /// The image or function.
        of: String,
        /// What the driver said.
        error: DriverError,
    },
}

/// A loaded image. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Module(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    handle: CUmodule,
    native: Option<&'static CpuImage>,
}

// SAFETY: the driver lets any thread use a module.
unsafe impl Send for Inner {}
// SAFETY: as above; nothing changes after the load.
unsafe impl Sync for Inner {}

impl Module {
    /// Loads a native image on a cpu driver.
    ///
    /// # Errors
    /// When the driver is another, or the image is of another version or needs more scratch than
    /// the device's threads have.
    pub fn load(context: &Context, image: &'static CpuImage) -> Result<Self, ModuleError> {
        if !context.is_native() {
            return Err(ModuleError::NotNative { ordinal: context.ordinal() });
        }
        let mut handle: CUmodule = std::ptr::null_mut();
        let data = std::ptr::from_ref(image).cast();
        context
            .enter()
            // SAFETY: valid for the write of a handle; the image is what a cpu driver takes.
            .and_then(|table| unsafe { table.cuModuleLoadData(&raw mut handle, data) })
            .map_err(|error| ModuleError::Driver {
                of: format!("native image with {} bytes of scratch", image.scratch_bytes()),
                error,
            })?;
        Ok(Self(Arc::new(Inner { context: context.clone(), handle, native: Some(image) })))
    }

    /// The function of this name.
    ///
    /// # Errors
    /// When the module has none.
    pub fn function(&self, name: &str) -> Result<Function, ModuleError> {
        let c_name = CString::new(name).map_err(|_| ModuleError::Name(name.to_owned()))?;
        let mut handle: CUfunction = std::ptr::null_mut();
        let (module, text) = (self.0.handle, c_name.as_ptr());
        let context = &self.0.context;
        context
            .enter()
            // SAFETY: valid for the write of a handle; the module lives and the name ends.
            .and_then(|table| unsafe { table.cuModuleGetFunction(&raw mut handle, module, text) })
            .map_err(|error| ModuleError::Driver { of: format!("function {name}"), error })?;
        let entries = self.0.native.map_or(&[][..], CpuImage::entries);
        let entry = entries.iter().find(|entry| entry.name() == c_name.as_c_str());
        let parameter_bytes = entry.map(crate::cpu::CpuEntry::parameter_bytes);
        Ok(Function { module: self.clone(), handle, parameter_bytes })
    }

    pub(super) fn context(&self) -> &Context {
        &self.0.context
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // SAFETY: no function or graph of the module is left: they hold it.
            let _ = unsafe { table.cuModuleUnload(self.handle) };
        }
    }
}

/// A kernel of a loaded module. Cheap to clone; keeps the module loaded.
#[derive(Clone, Debug)]
pub struct Function {
    module: Module,
    handle: CUfunction,
    parameter_bytes: Option<usize>,
}

// SAFETY: the driver lets any thread use a function.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    /// Bytes of its parameter block, where the image states it.
    #[must_use]
    pub fn parameter_bytes(&self) -> Option<usize> {
        self.parameter_bytes
    }

    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    pub(super) fn handle(&self) -> CUfunction {
        self.handle
    }
}
