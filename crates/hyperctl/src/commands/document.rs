//! Definitions in files: what the API takes, written in YAML or JSON.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::failure::{Failure, mistake};

/// Reads the definition in `file`; `-` is standard input. JSON is YAML too.
pub(crate) fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let what = || format!("--file {}", file.display());
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(drop),
        false => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| mistake(what(), &error))?;
    match serde_saphyr::from_str(&text).map_err(|error| mistake(what(), &error))? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Failure::usage(format!("{} holds no definition: expected fields with values", what()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_definition_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nightly.yaml");
        for (text, said) in [("- a", "expected fields"), ("a: [", "line")] {
            std::fs::write(&file, text).unwrap();
            let failure = read(&file).unwrap_err().to_string();
            assert!(failure.contains("nightly.yaml") && failure.contains(said), "{failure}");
        }
        std::fs::write(&file, "id: nightly\nretry: 3\nenabled: true\ntags: [a]\n").unwrap();
        let read = Value::Object(read(&file).unwrap());
        assert_eq!(read, serde_json::json!({ "id": "nightly", "retry": 3, "enabled": true, "tags": ["a"] }));
    }
}
