//! Reading the attributes of a node.

use super::super::constant::Constant;
use super::super::error::Why;
use super::super::onnx::AttributeProto;
use super::{Raw, RawPadding};

/// Largest kernel, stride, dilation or padding of a sliding window.
const MAX_SIZE: usize = 1 << 16;

/// The attributes of one node.
pub(super) struct Attributes<'a>(pub(super) &'a [AttributeProto]);

impl Attributes<'_> {
    pub(super) fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|attribute| attribute.name() == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, AttributeProto::i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, AttributeProto::f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.find(name).map(|attribute| attribute.ints.clone())
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.find(name).map(|attribute| String::from_utf8_lossy(attribute.s()).into_owned()).unwrap_or_default()
    }

    /// An integer where the attribute is given.
    pub(super) fn given(&self, name: &str) -> Option<i64> {
        self.find(name).map(AttributeProto::i)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.int(name, 0) != 0
    }

    pub(super) fn sizes(&self, name: &'static str) -> Result<Option<Vec<usize>>, Why> {
        let Some(ints) = self.ints(name) else { return Ok(None) };
        let size = |n: i64| usize::try_from(n).ok().filter(|&n| n <= MAX_SIZE);
        let sizes: Option<Vec<usize>> = ints.iter().map(|&n| size(n)).collect();
        let why = "numbers from 0 to 65536";
        sizes.map(Some).ok_or(Why::Attribute { name, value: format!("{ints:?}"), why })
    }

    /// One of several names.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &'static str,
        default: T,
        known: &[(&str, T)],
        why: &'static str,
    ) -> Result<T, Why> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(default);
        }
        let found = known.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
        found.ok_or(Why::Attribute { name, value: text, why })
    }

    /// Refuses an attribute that is set, where what it asks for is not built.
    pub(super) fn unset(&self, name: &'static str, why: &'static str) -> Result<(), Why> {
        match self.int(name, 0) {
            0 => Ok(()),
            value => Err(Why::Attribute { name, value: value.to_string(), why }),
        }
    }

    /// A sliding window.
    pub(super) fn window(&self) -> Result<Raw, Why> {
        let explicit = RawPadding::Explicit(self.sizes("pads")?);
        let pads = match self.text("auto_pad").as_str() {
            "" | "NOTSET" => explicit,
            "VALID" => RawPadding::Explicit(None),
            "SAME_UPPER" => RawPadding::SameUpper,
            "SAME_LOWER" => RawPadding::SameLower,
            other => {
                let why = "NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(Why::Attribute { name: "auto_pad", value: other.to_owned(), why });
            }
        };
        let groups = self.int("group", 1);
        let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or(Why::Attribute {
            name: "group",
            value: groups.to_string(),
            why: "at least 1",
        })?;
        let (strides, dilations) = (self.sizes("strides")?, self.sizes("dilations")?);
        Ok(Raw { kernel: self.sizes("kernel_shape")?, strides, dilations, pads, groups })
    }

    pub(super) fn constant(&self) -> Result<Constant, Why> {
        if let Some(tensor) = self.find("value").and_then(|attribute| attribute.t.as_ref()) {
            return Constant::from_proto(tensor);
        }
        if let Some(attribute) = self.find("value_float") {
            return Ok(Constant::floats(vec![], vec![attribute.f()]));
        }
        if let Some(attribute) = self.find("value_int") {
            return Ok(Constant::integers(vec![], vec![attribute.i()]));
        }
        if let Some(attribute) = self.find("value_floats") {
            return Ok(Constant::floats(vec![attribute.floats.len()], attribute.floats.clone()));
        }
        if let Some(attribute) = self.find("value_ints") {
            return Ok(Constant::integers(vec![attribute.ints.len()], attribute.ints.clone()));
        }
        Err(Why::Form("it has no `value` that is understood"))
    }
}
