use std::time::Duration;

use serde_json::{Value, json};

/// A client of the daemon's REST API that panics on what a test does not expect.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the daemon at this base URL.
    ///
    /// # Panics
    /// If no HTTP client can be built.
    pub fn new(base: impl Into<String>) -> Self {
        // Reqwest wants a provider even for plain HTTP; somebody else may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("an HTTP client");
        Client { base: base.into(), http }
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET`: status and JSON.
    ///
    /// # Panics
    /// If there is no answer or it is not JSON.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await;
        Self::read(answer.unwrap_or_else(|error| panic!("GET {path}: {error}"))).await
    }

    /// `POST` of JSON: status and JSON.
    ///
    /// # Panics
    /// If there is no answer or it is not JSON.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.base)).json(body).send().await;
        Self::read(answer.unwrap_or_else(|error| panic!("POST {path}: {error}"))).await
    }

    /// `PUT` of JSON: status and JSON.
    ///
    /// # Panics
    /// If there is no answer or it is not JSON.
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.put(format!("{}{path}", self.base)).json(body).send().await;
        Self::read(answer.unwrap_or_else(|error| panic!("PUT {path}: {error}"))).await
    }

    /// `DELETE`: status and JSON.
    ///
    /// # Panics
    /// If there is no answer or it is not JSON.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        let answer = self.http.delete(format!("{}{path}", self.base)).send().await;
        Self::read(answer.unwrap_or_else(|error| panic!("DELETE {path}: {error}"))).await
    }

    /// Submits one job that must be accepted, and gives its id.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn submit(&self, job: &Value) -> String {
        let (status, answer) = self.post("/jobs/submit", job).await;
        assert_eq!(status, 202, "{answer}");
        answer["job_ids"][0].as_str().expect("an id").to_owned()
    }

    /// A job as the API shows it.
    ///
    /// # Panics
    /// If there is no such job.
    pub async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// Waits until the job passes `wanted`, for a minute at most.
    ///
    /// # Panics
    /// If that does not happen; the panic shows the job.
    pub async fn wait_for(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.job(id).await;
                if wanted(&last) {
                    return last.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), waiting).await {
            Ok(job) => job,
            Err(_) => panic!("the job did not come to pass what was waited for: {last:#}"),
        }
    }

    /// Waits until the job has ended.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub async fn wait_for_end(&self, id: &str) -> Value {
        self.wait_for(id, |job| ["completed", "failed", "cancelled"].iter().any(|end| job["status"] == *end))
            .await
    }

    /// Cancels a job.
    ///
    /// # Panics
    /// If the API refuses.
    pub async fn cancel(&self, id: &str) {
        let (status, answer) = self.post("/jobs/cancel", &json!({ "job_ids": [id] })).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn read(answer: reqwest::Response) -> (u16, Value) {
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("an answer in UTF-8");
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text:?}: {error}"));
        (status, json)
    }
}
