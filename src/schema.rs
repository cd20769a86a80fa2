//! pipeline.schema.json: what editors check and complete pipeline.yaml by.
//!
//! The parameters of stages come from the types that read them; the sections around them are
//! written here. Wherever a number, a truth value, a list or a mapping stands, a variable
//! (`${name}`) may stand instead.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::registry;

/// The schema as it is committed.
pub(crate) fn text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).expect("a schema is plain data");
    text.push('\n');
    text
}

fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let run = run(&mut generator);
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        allow_variables(definition);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipeline.yaml of cpipe",
        "type": "object",
        "required": ["version", "stages"],
        "additionalProperties": false,
        "properties": {
            "version": { "const": 1, "description": "Version of this format." },
            "name": { "type": "string", "description": "Name of the study." },
            "default_profile": { "type": "string", "description": "Profile used without --profile." },
            "vars": { "$ref": "#/$defs/vars" },
            "matrix": { "$ref": "#/$defs/matrix" },
            "pools": { "type": "object", "additionalProperties": { "type": ["integer", "string"] }, "description": "Capacity of each pool." },
            "sources": { "$ref": "#/$defs/sources" },
            "stages": { "type": "object", "additionalProperties": { "$ref": "#/$defs/stage" } },
            "report": { "$ref": "#/$defs/report" },
            "profiles": { "type": "object", "additionalProperties": { "$ref": "#/$defs/profile" } }
        },
        "$defs": all_definitions(&run, definitions)
    })
}

fn all_definitions(run: &Value, of_parameters: Map<String, Value>) -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let values = json!({ "anyOf": [
        { "type": "array", "items": scalar, "minItems": 1 },
        { "type": "object", "required": ["file"], "additionalProperties": false, "properties": { "file": { "type": "string" } } },
        { "type": "object", "required": ["output"], "additionalProperties": false, "properties": { "output": { "type": "string", "pattern": ":" } } }
    ] });
    let cells = json!({ "type": "array", "items": { "type": "object", "minProperties": 1 } });
    let mut definitions = json!({
        "vars": { "type": ["object", "null"], "description": "Values for ${name}." },
        "matrix": {
            "type": ["object", "null"],
            "description": "Axes, and how they combine.",
            "properties": {
                "zip": { "type": "array", "items": { "type": "array", "items": { "type": "string" } } },
                "exclude": cells,
                "include": cells
            },
            "additionalProperties": values
        },
        "sources": { "type": ["object", "null"], "additionalProperties": { "$ref": "#/$defs/source" } },
        "source": source(),
        "stage": stage(run),
        "report": report(),
        "profile": {
            "type": ["object", "null"],
            "additionalProperties": false,
            "properties": {
                "vars": { "$ref": "#/$defs/vars" },
                "matrix": { "$ref": "#/$defs/matrix" },
                "sources": { "$ref": "#/$defs/sources" },
                "stages": { "type": ["object", "null"], "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/stage" }, { "type": "null" }] } },
                "report": { "$ref": "#/$defs/report" }
            }
        }
    });
    if let Value::Object(map) = &mut definitions {
        map.extend(of_parameters);
    }
    definitions
}

fn source() -> Value {
    let digest = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" });
    let digests = json!({ "anyOf": [digest, {
        "type": "object",
        "additionalProperties": digest,
        "description": "Of a local source, one for each path that its variables make."
    }] });
    let texts = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    json!({
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{ "required": ["path"] }, { "required": ["url"] }, { "required": ["hub"] }],
        "properties": {
            "path": { "type": "string", "description": "A local file or folder." },
            "url": texts,
            "hub": { "type": "string", "description": "A repository of the Hugging Face hub." },
            "type": { "enum": ["model", "dataset"] },
            "revision": { "type": "string" },
            "files": { "type": "array", "items": { "type": "string" } },
            "unpack": { "enum": ["none", "zip", "tar", "tar.gz", "tar.xz", "tar.zst", "gz", "xz", "zst"] },
            "take": { "type": "object" },
            "size": { "type": ["string", "integer"], "description": "Most bytes that are accepted." },
            "blake3": digests,
            "sha256": digests
        }
    })
}

fn report() -> Value {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": ["object", "null"],
        "description": "A page about each run, outputs/report.html.",
        "additionalProperties": false,
        "properties": {
            "title": { "type": "string", "description": "Its title; the pipeline's name without it." },
            "text": {
                "description": "Words about the study in Markdown, or the file that holds them.",
                "anyOf": [
                    { "type": "string" },
                    { "type": "object", "required": ["file"], "additionalProperties": false, "properties": { "file": { "type": "string" } } }
                ]
            },
            "tables": names,
            "figures": names
        }
    })
}

fn stage(run: &Value) -> Value {
    let duration = json!({ "type": ["string", "number"], "description": "Such as 90s, 15m, 2h." });
    json!({
        "type": "object",
        "required": ["run"],
        "additionalProperties": false,
        "properties": {
            "over": { "type": "array", "items": { "type": "string" }, "description": "Axes that the stage expands over." },
            "needs": {
                "description": "role: stage, or role: stage:output.",
                "anyOf": [
                    { "type": "array", "items": { "type": "string" } },
                    { "type": "object", "additionalProperties": { "type": "string" } }
                ]
            },
            "run": run,
            "export": { "type": "string", "description": "Folder below outputs/ for copies." },
            "resources": { "type": "object", "additionalProperties": { "type": ["integer", "string"] }, "description": "cores, mem, gpus, or a pool." },
            "retries": { "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "object", "additionalProperties": false, "properties": { "times": { "type": "integer", "minimum": 0 }, "wait": duration } }
            ] },
            "timeout": duration
        }
    })
}

/// One kind of work with its parameters; those without any may be left empty.
fn run(generator: &mut SchemaGenerator) -> Value {
    let kinds = registry::schemas(generator).into_iter();
    let choices: Vec<Value> = kinds
        .map(|(kind, schema)| {
            json!({
                "type": "object",
                "required": [kind],
                "additionalProperties": false,
                "properties": { (kind): { "anyOf": [schema, { "type": "null" }] } }
            })
        })
        .collect();
    json!({ "oneOf": choices })
}

/// Lets `${name}` stand for every value that is not a text anyway.
fn allow_variables(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(allow_variables);
            // Formats of Rust's numbers mean nothing to an editor.
            map.remove("format");
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                properties.values_mut().for_each(wrap);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allow_variables),
        _ => {}
    }
}

fn wrap(property: &mut Value) {
    let inner = property.take();
    *property = json!({ "anyOf": [inner, { "type": "string", "pattern": "\\$\\{" }] });
}
