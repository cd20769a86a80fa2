//! How positions are rotated, in every spelling that Transformers has had for it.

use serde_json::Value;

use super::{Keys, Known};

/// Settings of the rotary position encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rope {
    /// The longest period is 2π times this.
    pub(crate) base: f64,
    /// What positions are divided by (linear scaling); 1 scales nothing.
    pub(crate) factor: f64,
    /// The part of a head that is rotated.
    pub(crate) fraction: f64,
}

/// Where an architecture keeps them, and what they are without a word.
pub(crate) struct RopeKeys {
    /// Names of the base beside `rope_parameters`.
    pub(crate) base: &'static [&'static str],
    /// The base where none is named.
    pub(crate) default_base: f64,
    /// Names of the fraction beside `rope_parameters`.
    pub(crate) fraction: &'static [&'static str],
    /// The fraction where none is named.
    pub(crate) default_fraction: f64,
}

/// Keys of the settings that no rotation of ours depends on. `factor` is read where it scales.
const KNOWN: &[Known] = &[
    Known::Only("factor", &["1"]),
    Known::Only("attention_factor", &["1"]),
    Known::Only("mscale", &["1"]),
    Known::Only("mscale_all_dim", &["1"]),
    // Only kinds that are refused read these.
    Known::Any("original_max_position_embeddings"),
    Known::Any("finetuned"),
];

impl RopeKeys {
    /// Reads and checks the settings.
    pub(crate) fn read(&self, keys: &mut Keys) -> Result<Rope, String> {
        let mut settings = settings(keys)?;
        let factor = factor(&mut settings)?;
        let base = joined(
            settings.agreed(&["rope_theta"])?,
            keys.agreed(self.base)?,
            self.default_base,
        )?;
        let fraction = joined(
            settings.agreed(&["partial_rotary_factor"])?,
            keys.agreed(self.fraction)?,
            self.default_fraction,
        )?;
        settings.finish(&[KNOWN])?;
        if !(base.1 > 0.0 && base.1.is_finite()) {
            return Err(format!(
                "`{}` is {}, expected a number above 0",
                base.0, base.1
            ));
        }
        if !(0.0..=1.0).contains(&fraction.1) {
            let (name, value) = fraction;
            return Err(format!("`{name}` is {value}, expected a part from 0 to 1"));
        }
        Ok(Rope {
            base: base.1,
            factor,
            fraction: fraction.1,
        })
    }
}

/// What `rope_parameters` (Transformers 5) or `rope_scaling` holds.
fn settings(keys: &mut Keys) -> Result<Keys, String> {
    let [newer, older] = ["rope_parameters", "rope_scaling"].map(|key| (key, keys.value(key)));
    let (key, value) = match (newer, older) {
        ((_, None), older) => older,
        (newer, (_, None)) => newer,
        (newer, older) if newer.1 == older.1 => newer,
        _ => {
            return Err("`rope_parameters` and `rope_scaling` differ, expected one of them".into());
        }
    };
    match value {
        None => Ok(keys.inner(key, serde_json::Map::new())),
        Some(Value::Object(map)) => Ok(keys.inner(key, map)),
        Some(other) => Err(keys.wrong(key, &other, "a dictionary")),
    }
}

/// What the kind of scaling divides positions by.
fn factor(settings: &mut Keys) -> Result<f64, String> {
    let [newer, older] = ["rope_type", "type"].map(|key| (key, settings.value(key)));
    let (key, kind) = match (newer, older) {
        ((_, Some(newer)), (_, Some(older))) if newer != older => {
            return Err(settings.wrong("type", &older, &format!("{newer} as `rope_type`")));
        }
        ((_, None), older) => older,
        (newer, _) => newer,
    };
    match kind {
        None => Ok(1.0),
        Some(kind) if kind == "default" => Ok(1.0),
        Some(kind) if kind == "linear" => {
            let Some(factor) = settings.number_if("factor")? else {
                let name = settings.name("factor");
                return Err(format!("`{name}` is missing, expected a number above 0"));
            };
            if factor > 0.0 && factor.is_finite() {
                return Ok(factor);
            }
            Err(settings.wrong("factor", &factor.into(), "a number above 0"))
        }
        Some(other) => Err(format!(
            "{}: other scalings of positions are not computed",
            settings.wrong(key, &other, "default or linear")
        )),
    }
}

/// One value of the two places that may have it, behind its name.
fn joined(
    inner: Option<(String, f64)>,
    outer: Option<(String, f64)>,
    default: f64,
) -> Result<(String, f64), String> {
    match (inner, outer) {
        (Some((inner, a)), Some((outer, b))) if a != b => Err(format!(
            "`{inner}` is {a} and `{outer}` is {b}, expected the same"
        )),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Ok((String::new(), default)),
    }
}
