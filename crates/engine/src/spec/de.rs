//! A serde deserializer over the tree, whose errors know where they are.

use std::fmt;
use std::ops::Range;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::SpecError;
use super::tree::{Key, Node, Value};

/// Reads a value of type `T` from a tree.
pub(crate) fn from_tree<T: DeserializeOwned>(node: &Node) -> Result<T, SpecError> {
    T::deserialize(node).map_err(|error| match error.0 {
        error if error.span.is_none() => SpecError {
            span: Some(node.span.clone()),
            ..error
        },
        error => error,
    })
}

/// A [`SpecError`] on its way through serde.
#[derive(Debug)]
pub(crate) struct DeError(SpecError);

impl DeError {
    /// Places an error that does not know yet where it is.
    fn or_at(mut self, span: &Range<usize>) -> Self {
        self.0.span.get_or_insert_with(|| span.clone());
        self
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(SpecError::general(message.to_string()))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let error = SpecError::general(format!("unknown key `{field}`"));
        Self(error.choices(field, expected.iter().copied()))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = SpecError::general(format!("unknown value `{variant}`"));
        Self(error.choices(variant, expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(SpecError::general(format!("the key `{field}` is missing")))
    }
}

fn wrong_type(node: &Node, expected: &dyn de::Expected) -> DeError {
    let message = format!("expected {expected}, found {}", node.describe());
    DeError(SpecError::at(node.span.clone(), message))
}

impl<'de> IntoDeserializer<'de, DeError> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A key, so that errors about it point at it.
impl<'de> IntoDeserializer<'de, DeError> for &'de Key {
    type Deserializer = KeyDeserializer<'de>;

    fn into_deserializer(self) -> KeyDeserializer<'de> {
        KeyDeserializer(self)
    }
}

pub(crate) struct KeyDeserializer<'de>(&'de Key);

impl<'de> de::Deserializer<'de> for KeyDeserializer<'de> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor
            .visit_str(&self.0.text)
            .map_err(|e: DeError| e.or_at(&self.0.span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let expectation = wrong_type_of(self, &visitor);
        let result = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => {
                let mut items = SeqDeserializer::new(items.iter());
                let value = visitor.visit_seq(&mut items);
                value.and_then(|value| items.end().map(|()| value))
            }
            Value::Map(entries) => {
                visitor.visit_map(MapDeserializer::new(entries.iter().map(|(k, v)| (k, v))))
            }
        };
        result.map_err(|error| relabel(error, expectation, &self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.value {
            Value::Text(_) => visitor.visit_enum(Tagged {
                node: self,
                content: None,
            }),
            Value::Map(entries) if entries.len() == 1 => {
                let (key, content) = &entries[0];
                visitor.visit_enum(TaggedMap { key, content })
            }
            _ => Err(wrong_type(self, &"a name or a mapping with one key")),
        }
    }

    /// A struct's empty value may be written as nothing: `run: { plot: }`.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.value {
            Value::Null => visitor
                .visit_map(MapDeserializer::new(std::iter::empty::<(&Key, &Node)>()))
                .map_err(|e| e.or_at(&self.span)),
            Value::Map(_) => self.deserialize_any(visitor),
            _ => Err(wrong_type(self, &"a mapping")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// What would be said if the visitor refuses the type of this value.
fn wrong_type_of<'de, V: Visitor<'de>>(node: &Node, visitor: &V) -> String {
    let expected: &dyn de::Expected = visitor;
    let expected = plain_words(&expected.to_string());
    format!("expected {expected}, found {}", node.describe())
}

/// serde's words for Rust types, in the words of a person.
fn plain_words(expected: &str) -> String {
    match expected {
        "u8" => format!("an integer from 0 to {}", u8::MAX),
        "u16" => format!("an integer from 0 to {}", u16::MAX),
        "u32" => format!("an integer from 0 to {}", u32::MAX),
        "u64" | "usize" => "an integer from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    }
}

/// serde reports a refused type as "invalid type" or "invalid value": said in our words instead.
fn relabel(error: DeError, expectation: String, span: &Range<usize>) -> DeError {
    let generic = ["invalid type", "invalid value"];
    if error.0.span.is_none() && generic.iter().any(|g| error.0.message.starts_with(g)) {
        return DeError(SpecError::at(span.clone(), expectation));
    }
    error.or_at(span)
}

/// An enum variant written as text.
struct Tagged<'de> {
    node: &'de Node,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = DeError;
    type Variant = Content<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<'de>), DeError> {
        let Value::Text(text) = &self.node.value else {
            return Err(wrong_type(self.node, &"a name"));
        };
        let name: StrDeserializer<'_, DeError> = text.as_str().into_deserializer();
        let tag = seed
            .deserialize(name)
            .map_err(|e| e.or_at(&self.node.span))?;
        Ok((
            tag,
            Content {
                at: self.node,
                content: self.content,
            },
        ))
    }
}

/// An enum variant written as a mapping with one key.
struct TaggedMap<'de> {
    key: &'de Key,
    content: &'de Node,
}

impl<'de> EnumAccess<'de> for TaggedMap<'de> {
    type Error = DeError;
    type Variant = Content<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<'de>), DeError> {
        let tag = seed.deserialize(KeyDeserializer(self.key))?;
        Ok((
            tag,
            Content {
                at: self.content,
                content: Some(self.content),
            },
        ))
    }
}

struct Content<'de> {
    at: &'de Node,
    content: Option<&'de Node>,
}

impl<'de> Content<'de> {
    fn node(&self) -> Result<&'de Node, DeError> {
        self.content
            .ok_or_else(|| wrong_type(self.at, &"a mapping with its parameters"))
    }
}

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        match self.content {
            None => Ok(()),
            Some(node) => Err(wrong_type(node, &"a name without parameters")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, DeError> {
        seed.deserialize(self.node()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DeError> {
        de::Deserializer::deserialize_any(self.node()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        de::Deserializer::deserialize_struct(self.node()?, "", fields, visitor)
    }
}
