//! The published schemas hold for the documents, and say all there is to say about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jsonschema::{Registry, Validator};
use patchyard_app::rollouts::Phase;
use serde_json::{Value, json};

use super::{read, sample};
use crate::json::{EventLine, Names, PlanDocument, RolloutDocument, ScanDocument};

/// The schema of the configuration file has a test of its own, beside what reads the file.
const ELSEWHERE: &str = "config";

/// Every schema by its name.
fn schemas() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.strip_suffix(".v1.json").unwrap_or_else(|| panic!("what is docs/schemas/{file}?"));
        let text = std::fs::read_to_string(&path).unwrap();
        found.insert(name.to_owned(), serde_json::from_str(&text).unwrap());
    }
    found.remove(ELSEWHERE).expect("the schema of the configuration file");
    found
}

/// Validators for schemas that refer to each other by file name.
fn validators(schemas: &BTreeMap<String, Value>) -> BTreeMap<String, Validator> {
    let uri = |name: &str| format!("file:///schemas/{name}.v1.json");
    let mut registry = Registry::new();
    for (name, schema) in schemas {
        registry = registry.add(uri(name), schema).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = |name: &str, schema| {
        jsonschema::options().with_registry(&registry).with_base_uri(uri(name)).build(schema).unwrap()
    };
    schemas.iter().map(|(name, schema)| (name.clone(), validator(name, schema))).collect()
}

/// The same schemas, but what they do not name is not allowed.
fn strict(mut schemas: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                map.values_mut().for_each(close);
                if map.contains_key("required") {
                    map.entry("additionalProperties").or_insert(json!(false));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    schemas.values_mut().for_each(close);
    schemas
}

#[test]
fn every_document_holds_to_its_schema_and_every_schema_has_a_document() {
    let schemas = schemas();
    let validators = validators(&schemas);
    let mut unread: BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
    for (name, document) in sample::documents() {
        unread.remove(name);
        if let Err(error) = validators[name].validate(&document) {
            panic!("{name}: {} {error}: {document:#}", error.instance_path());
        }
        if name != "target" {
            assert_eq!(document["schema"], format!("patchyard.{name}/v1"));
        }
    }
    assert!(unread.is_empty(), "schemas that no document is held against: {unread:?}");
}

#[test]
fn every_field_is_described() {
    let validators = validators(&strict(schemas()));
    for (name, document) in sample::documents() {
        if let Err(error) = validators[name].validate(&document) {
            panic!("{name}: {} {error}", error.instance_path());
        }
    }
}

/// A schema that accepted anything would make the tests above pass.
#[test]
fn a_field_that_is_missing_or_of_another_kind_is_noticed() {
    let validators = validators(&strict(schemas()));
    for (name, document) in sample::documents() {
        let mut fields = Vec::new();
        collect(&document, "", &mut fields);
        for (parent, key) in fields {
            let spoil = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut spoiled = document.clone();
                change(spoiled.pointer_mut(&parent).unwrap().as_object_mut().unwrap());
                spoiled
            };
            let other = spoil(&|map| drop(map.insert(key.clone(), json!({"unheard": ["of"]}))));
            assert!(!validators[name].is_valid(&other), "{name}{parent}/{key} may be anything");
            let gone = spoil(&|map| drop(map.remove(&key)));
            let may_go = parent.ends_with("/labels") || optional(name, &parent, &key);
            assert_eq!(validators[name].is_valid(&gone), may_go, "{name}{parent}/{key} is missing");
        }
    }
}

/// An event has only what belongs to its kind.
fn optional(name: &str, parent: &str, key: &str) -> bool {
    let event = name == "event" || (name == "log" && parent.starts_with("/entries/"));
    event && !["schema", "at", "stream", "seq", "what"].contains(&key)
}

/// Every key of every object, with the pointer to the object.
fn collect(value: &Value, at: &str, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                fields.push((at.to_owned(), key.clone()));
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                collect(value, &at, fields);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect(item, &format!("{at}/{i}"), fields));
        }
        _ => {}
    }
}

#[test]
fn the_kinds_of_events_are_those_of_the_schema() {
    let words = &schemas()["event"]["properties"]["what"]["enum"];
    let known: BTreeSet<&str> = words.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let lines: Vec<Value> =
        sample::all_events().iter().map(|event| read(&EventLine::new(&Names::default(), event))).collect();
    let told: BTreeSet<&str> = lines.iter().filter_map(|line| line["what"].as_str()).collect();
    assert_eq!(told, known);
}

#[test]
fn what_is_not_known_is_null_and_never_zero() {
    let totals = |known| read(&ScanDocument::from(&sample::scan(known)))["totals"].clone();
    let unknown = totals(vec![sample::unknown()]);
    assert_eq!((&unknown["pending"], &unknown["security"]), (&Value::Null, &Value::Null), "{unknown}");
    assert_eq!((&unknown["not_assessed"], &unknown["complete"]), (&json!(1), &json!(false)));
    let target = read(&ScanDocument::from(&sample::scan(vec![sample::unknown()])))["targets"][0].clone();
    assert_eq!((&target["pending"], &target["installed"]), (&Value::Null, &Value::Null), "{target}");

    let known = totals(sample::known());
    let counts = ["pending", "new", "security", "held_back", "image_updates"].map(|key| known[key].clone());
    assert_eq!(counts, [2, 1, 1, 3, 1].map(|count| json!(count)), "{known}");
    assert_eq!(known["complete"], true);

    let both = totals(sample::known().into_iter().chain([sample::unknown()]).collect());
    assert_eq!((&both["pending"], &both["complete"]), (&json!(2), &json!(false)), "{both}");
    assert_eq!(totals(Vec::new())["pending"], 0, "nobody was asked about, and that is known");
}

#[test]
fn a_target_is_its_id_everywhere() {
    let plan = read(&PlanDocument::from(&sample::every_method()));
    let ids: Vec<&Value> =
        plan["actions"].as_array().unwrap().iter().map(|action| &action["target"]).collect();
    assert_eq!(plan["waves"][0]["targets"][0], *ids[0]);
    assert_eq!(plan["tags"][0]["after"][0], *ids[0]);
    assert_eq!(ids[0], "docker:ABCD:EFGH/shop");
    let head = patchyard_app::AuditHead::START;
    let rollout = read(&RolloutDocument::new(&sample::rollout(Phase::Running), head));
    assert_eq!(rollout["runs"][0]["target"], "docker:ABCD:EFGH/shop/web/1");
    let lines = sample::all_events();
    let names = Names::of_plan(patchyard_types::RolloutId(1), &sample::every_method());
    let ended = lines.iter().map(|event| read(&EventLine::new(&names, event)));
    let ended: Vec<Value> = ended.filter(|line| line["what"] == "rollout.run_ended").collect();
    assert_eq!((&ended[0]["run"], &ended[0]["target"]), (&json!("R1.1"), ids[0]), "{}", ended[0]);
}

#[test]
fn a_plan_names_its_digest_once_and_no_document_tells_a_secret() {
    let line = crate::json::line(&PlanDocument::from(&sample::every_method()));
    assert_eq!(line.matches("\"digest\":").count(), 1, "shell scripts look for it: {line}");
    for (name, document) in sample::documents() {
        assert!(!document.to_string().contains(sample::SECRET), "{name}: {document:#}");
    }
}
