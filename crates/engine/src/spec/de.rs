//! A serde deserializer over the tree, whose errors know where they are.

use std::fmt;
use std::ops::Range;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::SpecError;
use super::number::Number;
use super::tree::{Key, Meaning, Node, Plain, Value};

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

    /// Says how `null` or `~` is written where it is a text.
    fn or_in_quotes(mut self, unquoted: Option<&str>) -> Self {
        if let Some(written) = unquoted {
            let help = format!("write '{written}' in quotes if it is a text");
            self.0.help.get_or_insert(help);
        }
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

/// Methods of a deserializer that read a number by one of [`Node`]'s visits.
macro_rules! where_a_number_is_wanted {
    ($($visit:ident: $($method:ident)+;)+) => { $($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
            match self.number() {
                Some(number) => self.$visit(number, visitor),
                None => self.deserialize_any(visitor),
            }
        }
    )+)+ };
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let expectation = wrong_type_of(self, &visitor);
        let result = match &self.value {
            Value::Plain(Plain { meaning, .. }) => match meaning {
                Meaning::Null => visitor.visit_unit(),
                Meaning::Bool(value) => visitor.visit_bool(*value),
                Meaning::Number(number) => return self.visit_number(*number, visitor),
            },
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
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
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
        match (&self.value, self.text()) {
            (_, Some(name)) => visitor.visit_enum(Tagged { node: self, name }),
            (Value::Map(entries), _) if entries.len() == 1 => {
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
        if self.is_null() {
            let nothing = std::iter::empty::<(&Key, &Node)>();
            return visitor
                .visit_map(MapDeserializer::new(nothing))
                .map_err(|e| e.or_at(&self.span));
        }
        if !self.is_map_or_null() {
            return Err(wrong_type(self, &"a mapping"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let Some(text) = self.text() else {
            let unquoted = self.scalar_text().filter(|written| !written.is_empty());
            let result = self.deserialize_any(visitor);
            return result.map_err(|error| error.or_in_quotes(unquoted));
        };
        let expectation = wrong_type_of(self, &visitor);
        let result = visitor.visit_str(text);
        result.map_err(|error: DeError| relabel(error, expectation, &self.span))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_str(visitor)
    }

    where_a_number_is_wanted! {
        visit_integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
                       deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        visit_double: deserialize_f32 deserialize_f64;
    }

    forward_to_deserialize_any! {
        bool char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

impl Node {
    /// A number where anything may stand: an integer if it is written as one.
    fn visit_number<'de, V: Visitor<'de>>(
        &self,
        number: Number,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        if number.is_integer && number.whole.is_some() {
            self.visit_integer(number, visitor)
        } else {
            self.visit_double(number, visitor)
        }
    }

    /// A number where an integer is wanted: `1e3` is one, too.
    fn visit_integer<'de, V: Visitor<'de>>(
        &self,
        number: Number,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let Some(whole) = number.whole else {
            return self.visit_double(number, visitor);
        };
        let expectation = wrong_type_of(self, &visitor);
        let result = match (i64::try_from(whole), u64::try_from(whole)) {
            (Ok(value), _) => visitor.visit_i64(value),
            (_, Ok(value)) => visitor.visit_u64(value),
            _ => return Err(self.not_held(expectation)),
        };
        result.map_err(|error| relabel(error, expectation, &self.span))
    }

    fn visit_double<'de, V: Visitor<'de>>(
        &self,
        number: Number,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let expectation = wrong_type_of(self, &visitor);
        if !number.is_held(self.scalar_text().unwrap_or_default()) {
            return Err(self.not_held(expectation));
        }
        let result = visitor.visit_f64(number.double);
        result.map_err(|error| relabel(error, expectation, &self.span))
    }

    /// A number that would become another one.
    fn not_held(&self, expectation: String) -> DeError {
        let message = format!("{expectation}, which cannot be held exactly");
        let help = "put it in quotes if it is a text; a number must fit a 64-bit integer or float";
        DeError(SpecError::at(self.span.clone(), message).help(help))
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
    name: &'de str,
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = DeError;
    type Variant = Content<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<'de>), DeError> {
        let name: StrDeserializer<'_, DeError> = self.name.into_deserializer();
        let tag = seed
            .deserialize(name)
            .map_err(|e| e.or_at(&self.node.span))?;
        Ok((
            tag,
            Content {
                at: self.node,
                content: None,
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
