//! Protocols by name: presets, and those that pipeline.yaml makes of the same parts.

use std::fmt;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rules::{Average, CodeLength, ContextRule, FirstToken, Rules, Side, Sliding};

/// Rules that have a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The paper author's rules: the first 1,024 tokens, the first one free, p at least 1e-10, the
    /// ratio over all raw bits, ratios outside (0.01, 10) left out.
    Paper,
    /// Every token costs: disjoint windows of the context, each behind an end-of-text token.
    Full,
    /// As `full`, each chunk rounded up to a byte, the total scaled for lost bits, a ratio of sums.
    Deepmind,
    /// A code that really decodes: overlapping windows, lost bits coded, the coder's bytes counted.
    Lossless,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Paper, Self::Full, Self::Deepmind, Self::Lossless];

    /// The name in files and in pipeline.yaml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Full => "full",
            Self::Deepmind => "deepmind",
            Self::Lossless => "lossless",
        }
    }

    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it stands for. A change here needs a new version of the `score` stage.
    pub fn rules(self) -> Rules {
        match self {
            Self::Paper => Rules {
                first_token: FirstToken::Free,
                context: ContextRule::Head(1024),
                floor: Some(1e-10),
                range: Some((0.01, 10.0)),
                ..Rules::default()
            },
            Self::Full => Rules::default(),
            Self::Deepmind => Rules {
                side: Side::Scaled,
                length: CodeLength::Bytes,
                average: Average::Sums,
                ..Rules::default()
            },
            Self::Lossless => Rules {
                context: ContextRule::Sliding(Sliding::default()),
                side: Side::Coded,
                length: CodeLength::Coder,
                average: Average::Sums,
                ..Rules::default()
            },
        }
    }
}

/// A protocol of a `score` stage: the name of a preset, or `{ name: rules }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// Rules that have a name of their own.
    Preset(Preset),
    /// Rules that pipeline.yaml names.
    Custom(String, Rules),
}

impl From<Preset> for Protocol {
    fn from(preset: Preset) -> Self {
        Self::Preset(preset)
    }
}

impl Protocol {
    /// The name in files and in pipeline.yaml.
    pub fn name(&self) -> &str {
        match self {
            Self::Preset(preset) => preset.name(),
            Self::Custom(name, _) => name,
        }
    }

    /// Its rules.
    pub fn rules(&self) -> Rules {
        match self {
            Self::Preset(preset) => preset.rules(),
            Self::Custom(_, rules) => *rules,
        }
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Preset(preset) => serializer.serialize_str(preset.name()),
            Self::Custom(name, rules) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(name, rules)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProtocolVisitor)
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<Rules>();
        let presets = ["paper", "full", "deepmind", "lossless"];
        json_schema!({
            "description": "A preset, or a name of one's own with its rules.",
            "oneOf": [
                { "enum": presets },
                { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": rules }
            ]
        })
    }
}

/// Externally tagged, like an enum, but the tags of custom protocols are the user's.
struct ProtocolVisitor;

impl<'de> Visitor<'de> for ProtocolVisitor {
    type Value = Protocol;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paper, full, deepmind, lossless, or one name with its rules")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Protocol, E> {
        let unknown = || E::unknown_variant(name, &["paper", "full", "deepmind", "lossless"]);
        Preset::named(name)
            .map(Protocol::Preset)
            .ok_or_else(unknown)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Protocol, A::Error> {
        let Some(name) = map.next_key::<Name>()? else {
            return Err(de::Error::custom("a protocol needs a name and its rules"));
        };
        let rules = map.next_value()?;
        match map.next_key::<Name>()? {
            None => Ok(Protocol::Custom(name.0, rules)),
            Some(second) => {
                let (first, second) = (name.0, second.0);
                let message = format!(
                    "one protocol has two names, `{first}` and `{second}`: start a new list item"
                );
                Err(de::Error::custom(message))
            }
        }
    }
}

/// The name of a custom protocol; checked while it is read, so that errors point at it.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if name.is_empty() || !name.chars().all(plain) {
                    let message = format!("`{name}` is not a name: use letters, digits, - and _");
                    return Err(E::custom(message));
                }
                if Preset::named(name).is_some() {
                    let message =
                        format!("`{name}` is a preset, whose rules are fixed: choose another name");
                    return Err(E::custom(message));
                }
                Ok(Name(name.to_owned()))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
