use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

/// A provider with one key on the P-256 curve, and how often it was asked for it.
struct Provider {
    key: EcdsaKeyPair,
    url: Url,
    asked: Arc<AtomicUsize>,
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn pair() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

impl Provider {
    async fn start() -> Self {
        let key = pair();
        let point = key.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
        let set = json!({ "keys": [
            { "kty": "oct", "k": 7 },
            { "kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y },
        ]});
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let answer = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            std::future::ready(axum::Json(set.clone()))
        };
        let router = axum::Router::new().route("/keys", axum::routing::get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let limits = crate::server::Limits::default();
        tokio::spawn(crate::server::serve(listener, router, None, limits, Default::default()));
        Provider { key, url, asked }
    }

    fn trusted(&self) -> Oidc {
        let config = OidcConfig {
            issuer: "https://id.example/".to_owned(),
            audience: "hypersdk".to_owned(),
            jwks_url: self.url.clone(),
            role_claim: "roles".to_owned(),
        };
        Oidc::new(config, Role::Viewer).unwrap()
    }
}

fn claims() -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({
        "iss": "https://id.example/", "aud": ["other", "hypersdk"], "exp": now + 300, "sub": "42",
        "email": "ada@example.com", "roles": ["unknown", "operator", "viewer"],
    })
}

fn token(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let signed =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(signature.as_ref()))
}

#[tokio::test]
async fn a_token_of_the_issuer_says_who_and_which_role() {
    let provider = Provider::start().await;
    let oidc = provider.trusted();
    let header = json!({ "alg": "ES256", "kid": "one" });
    let good = token(&provider.key, &header, &claims());
    for _ in 0..3 {
        let holder = oidc.verify(&good).await.unwrap();
        assert_eq!((holder.name.as_str(), holder.role), ("ada@example.com", Role::Operator));
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "keys are kept");
    let mut plain = claims();
    plain.as_object_mut().unwrap().remove("roles");
    assert_eq!(oidc.verify(&token(&provider.key, &header, &plain)).await.unwrap().role, Role::Viewer);
}

#[tokio::test]
async fn what_is_not_of_the_issuer_for_us_and_now_is_refused() {
    let provider = Provider::start().await;
    let oidc = provider.trusted();
    let header = json!({ "alg": "ES256", "kid": "one" });
    let now = chrono::Utc::now().timestamp();
    for (claim, value) in [
        ("iss", json!("https://evil.example/")),
        ("aud", json!("other")),
        ("aud", json!(null)),
        ("exp", json!(now - 120)),
        ("exp", json!(null)),
        ("nbf", json!(now + 120)),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        assert_eq!(oidc.verify(&token(&provider.key, &header, &claims)).await, None, "{claim} {value}");
    }
    assert_eq!(oidc.verify(&token(&pair(), &header, &claims())).await, None, "another key");
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "one" }),
        json!({ "alg": "RS256", "kid": "one" }),
    ] {
        assert_eq!(oidc.verify(&token(&provider.key, &header, &claims())).await, None, "{header}");
    }
    let good = token(&provider.key, &header, &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for broken in ["", "a.b", "a.b.c", &format!("{signed}."), &good[1..]] {
        assert_eq!(oidc.verify(broken).await, None, "{broken}");
    }
    let unknown = token(&pair(), &json!({ "alg": "ES256", "kid": "two" }), &claims());
    for _ in 0..5 {
        assert_eq!(oidc.verify(&unknown).await, None);
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "unknown keys do not make us ask again and again");
}

/// With a signature of OpenSSL's.
#[test]
fn an_rsa_signature_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    openssl(&["genrsa", "-out", "key.pem", "2048"]);
    std::fs::write(directory.path().join("signed"), "header.claims").unwrap();
    let signature = openssl(&["dgst", "-sha256", "-sign", "key.pem", "signed"]);
    let modulus = String::from_utf8(openssl(&["rsa", "-in", "key.pem", "-noout", "-modulus"])).unwrap();
    let modulus = hex::decode(modulus.trim().strip_prefix("Modulus=").unwrap()).unwrap();
    let key: Key =
        serde_json::from_value(json!({ "kty": "RSA", "n": encode(&modulus), "e": "AQAB" })).unwrap();
    assert!(key.verifies("RS256", b"header.claims", &signature));
    assert!(!key.verifies("RS256", b"header.claimz", &signature));
    assert!(!key.verifies("ES256", b"header.claims", &signature));
}
