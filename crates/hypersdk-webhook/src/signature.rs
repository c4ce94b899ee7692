//! Standard Webhooks 1.0.0: who sent a message, and when
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! The signature is HMAC-SHA256 over `id.timestamp.body`, in base64 after `v1,`. While a secret is being
//! changed, one signature of each goes out, separated by a space, and a receiver that knows either accepts.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Fewer bytes than this are too few for a secret.
const SHORTEST: usize = 24;
/// More than this is a mistake.
const LONGEST: usize = 256;

/// A signing secret: `whsec_` and base64, or any text, whose bytes are the key then.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    key: hmac::Key,
}

impl Secret {
    /// Reads a secret.
    ///
    /// # Errors
    /// What is wrong and what to do instead; never the secret itself.
    pub fn parse(text: &str) -> Result<Secret, String> {
        const REMEDY: &str = "make one with: echo whsec_$(openssl rand -base64 32)";
        let key = match text.strip_prefix("whsec_") {
            Some(encoded) => {
                BASE64.decode(encoded).map_err(|_| format!("is not base64 after whsec_; {REMEDY}"))?
            }
            None => text.as_bytes().to_vec(),
        };
        if key.len() < SHORTEST {
            return Err(format!(
                "is too short: {} bytes, at least {SHORTEST} are needed; {REMEDY}",
                key.len()
            ));
        }
        if key.len() > LONGEST {
            return Err(format!("is too long: {} bytes, at most {LONGEST} are taken; {REMEDY}", key.len()));
        }
        Ok(Secret { text: SecretString::from(text), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The text it was read from.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether a message is signed with this secret; `header` may have several signatures. Whoever receives
    /// messages also looks whether the timestamp (seconds since 1970) is of the last minutes.
    pub fn verify(&self, id: &str, timestamp: &str, body: &[u8], header: &str) -> bool {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        header.split(' ').filter_map(|part| part.strip_prefix("v1,")).any(|encoded| {
            let given = BASE64.decode(encoded).unwrap_or_default();
            hmac::verify(&self.key, &signed, &given).is_ok()
        })
    }

    /// `v1,` and the signature of a message.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64.encode(context.sign()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// The value of `webhook-signature`: one signature for each secret.
pub fn signature<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    time: DateTime<Utc>,
    body: &[u8],
) -> Option<String> {
    let all: Vec<String> =
        secrets.into_iter().map(|secret| secret.sign(id, time.timestamp(), body)).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_example_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let time = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let signed = signature([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", time, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let header = format!("v1,AAAA {}", signed.unwrap());
        let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        assert!(secret.verify(id, timestamp, br#"{"test": 2432232314}"#, &header));
        assert!(!secret.verify(id, timestamp, br#"{"test": 2432232315}"#, &header));
        assert!(!secret.verify(id, "1614265331", br#"{"test": 2432232314}"#, &header));
    }

    #[test]
    fn both_secrets_sign_while_one_replaces_the_other() {
        let old = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let new = Secret::parse("a plain secret, long enough to be one").unwrap();
        let signed = signature([&new, &old], "msg_1", Utc::now(), b"{}").unwrap();
        let parts: Vec<&str> = signed.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.starts_with("v1,") && part.len() == 47), "{signed}");
        assert_eq!(signature([], "msg_1", Utc::now(), b"{}"), None);
    }

    #[test]
    fn a_bad_secret_is_refused_without_being_repeated() {
        for (text, message) in
            [("hunter2", "too short"), ("whsec_aGVsbG8=", "too short"), ("whsec_!!!", "not base64")]
        {
            let error = Secret::parse(text).unwrap_err();
            assert!(error.contains(message) && error.contains("openssl rand"), "{error}");
            assert!(!error.contains("hunter2"));
        }
        assert!(Secret::parse(&"x".repeat(257)).unwrap_err().contains("too long"));
        let secret = Secret::parse("a plain secret, long enough to be one").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(********)");
    }
}
