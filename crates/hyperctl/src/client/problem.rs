//! Problem details (RFC 9457) as they are shown: the sentence, then every field with its message.

use std::fmt;

use serde_json::Value;

/// A field of the request and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// What the daemon says went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) request_id: Option<String>,
}

impl Problem {
    /// Reads a problem, or makes one of an answer that is none (a proxy's page).
    pub(crate) fn read(status: u16, json: Option<&Value>, text: &str) -> Self {
        let Some(json) = json.filter(|json| json.is_object()) else {
            let first: String = text.trim().lines().next().unwrap_or_default().chars().take(200).collect();
            return Problem {
                status,
                title: format!("status {status}"),
                detail: first,
                ..Problem::default()
            };
        };
        let word = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Problem {
            status,
            title: word("title"),
            detail: word("detail"),
            errors: field_errors(&json["errors"]),
            request_id: json["request_id"].as_str().map(str::to_owned),
        }
    }

    /// What to do, where the status alone says it.
    fn advice(&self) -> Option<String> {
        match self.status {
            401 => Some("store a token for this daemon with `hyperctl token set`".to_owned()),
            403 => Some("the token's role, or the account at vCenter, does not allow this".to_owned()),
            429 => Some("wait a little and try again".to_owned()),
            500..=599 => self
                .request_id
                .as_ref()
                .map(|id| format!("the cause is in the daemon's log, under request_id {id}")),
            _ => None,
        }
    }
}

/// The `errors` of a problem or of a partly accepted submission.
pub(crate) fn field_errors(errors: &Value) -> Vec<FieldError> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|error| FieldError { field: word(&error["field"]), message: word(&error["message"]) })
        .collect()
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.detail.is_empty(), self.title.is_empty()) {
            (false, _) => f.write_str(&self.detail)?,
            (true, false) => f.write_str(&self.title)?,
            (true, true) => write!(f, "the daemon answered with status {}", self.status)?,
        }
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        match self.advice() {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_field_has_a_line() {
        let json = json!({ "title": "Unprocessable Entity", "detail": "no job was accepted: see errors",
            "errors": [{ "field": "output_dir", "message": "is missing" }, { "field": "fromat", "message": "unknown" }] });
        let shown = Problem::read(422, Some(&json), "").to_string();
        assert_eq!(shown, "no job was accepted: see errors\n  output_dir: is missing\n  fromat: unknown");
    }

    #[test]
    fn a_failure_of_the_daemon_names_the_line_of_its_log() {
        let json = json!({ "detail": "the daemon failed", "request_id": "r-1" });
        assert!(Problem::read(500, Some(&json), "").to_string().contains("request_id r-1"));
    }

    #[test]
    fn a_page_of_a_proxy_is_shown_by_its_first_line() {
        let problem = Problem::read(502, None, "<html>\n<body>Bad gateway");
        assert_eq!(problem.to_string(), "<html>");
    }
}
