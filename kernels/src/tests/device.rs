//! The cpu driver, for one launch at a time.

use crate::image::{InstructionSet, image};
use crate::launch::{CheckedPlan, Executable, Standing};
use crate::operand::Binding;
use std::sync::{Mutex, OnceLock};
use sys::cpu::CpuConfig;
use sys::cuda::{Context, CopyPart, DeviceLease, Driver, Finished, Module, Returned, SmallWrite, Stream};

/// A stream of the one driver of this process.
pub(super) struct Device {
    context: Context,
    module: Module,
    stream: Stream,
}

fn context() -> Context {
    static DRIVER: OnceLock<Mutex<Driver>> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| Mutex::new(Driver::cpu(&CpuConfig::default()).unwrap()));
    driver.lock().unwrap().context(0).unwrap()
}

impl Device {
    pub(super) fn new(set: InstructionSet) -> Device {
        let context = context();
        let module = Module::load(&context, image(set).unwrap()).unwrap();
        let stream = Stream::new(&context, 8).unwrap();
        Device { context, module, stream }
    }

    fn finish(&mut self) -> Finished {
        self.stream.synchronize().unwrap();
        loop {
            if let Some(finished) = self.stream.poll() {
                return finished;
            }
            std::hint::spin_loop();
        }
    }

    /// Device memory with that content, at least a byte.
    pub(super) fn put(&mut self, bytes: &[u8]) -> DeviceLease {
        let lease = self.context.alloc_device(bytes.len().max(1)).unwrap();
        if bytes.is_empty() {
            return lease;
        }
        let mut host = self.context.alloc_host(bytes.len()).unwrap();
        host.copy_from_slice(bytes);
        self.stream.copy_in(0, host, lease, CopyPart::first(bytes.len())).unwrap();
        let Returned::CopyIn { to, .. } = self.finish().leases else { panic!("a copy comes back") };
        to
    }

    /// The first `len` elements of device memory.
    pub(super) fn get(&mut self, lease: DeviceLease, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let host = self.context.alloc_host(len * 4).unwrap();
        self.stream.copy_out(0, lease, host, CopyPart::first(len * 4)).unwrap();
        let Returned::CopyOut { to, .. } = self.finish().leases else { panic!("a copy comes back") };
        to.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
    }

    /// Launches `plan`; gives back what was held, and how long it took in nanoseconds.
    pub(super) fn launch(
        &mut self,
        plan: &CheckedPlan,
        standing: Standing,
        binding: &Binding,
        held: Vec<DeviceLease>,
    ) -> (Vec<DeviceLease>, u64) {
        let bytes = size_of::<Binding>();
        let to = self.context.alloc_device(bytes).unwrap();
        let mut from = self.context.alloc_host(bytes).unwrap();
        from.copy_from_slice(bytemuck::bytes_of(binding));
        let executable = Executable::build(&self.context, &self.module, plan, &to, standing).unwrap();
        executable.launch(&mut self.stream, 0, SmallWrite { from, to, bytes }, held).unwrap();
        let finished = self.finish();
        let Returned::Launch { held, .. } = finished.leases else { panic!("a launch comes back") };
        (held, finished.elapsed_ns.unwrap())
    }
}
