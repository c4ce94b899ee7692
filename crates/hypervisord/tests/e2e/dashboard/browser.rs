//! Chromium without a window, and what an operator does with it. Every wait is for something on the page.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};

/// How long the page may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Width and height of what is looked at: a desk's screen, and the narrowest telephone.
const DESK: (u32, u32) = (1280, 860);
const PHONE: (u32, u32) = (360, 780);

pub(crate) struct Browser {
    driver: WebDriver,
    /// Of this session, for what the client has no words for.
    session: String,
    base: String,
    process: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser that has seen nothing yet, at the daemon's address.
    pub(crate) async fn open(base: &str) -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs: `cargo xtask test` installs it");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            // It first repeats what it was asked for, port 0, and then says what it got.
            .filter(|line| line.contains("successfully"))
            .find_map(|line| line.split("on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok())
            .expect("chromedriver says where it listens");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let profile = tempfile::tempdir().expect("a directory");
        let mut wanted = DesiredCapabilities::chrome();
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en-GB",
            profile_argument.as_str(),
        ] {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted.as_mut().set("goog:loggingPrefs", json!({ "browser": "ALL" })).expect("a capability");
        let server = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&server, wanted).await.expect("Chromium starts");
        let session = format!("{server}/session/{}", driver.session_id());
        let browser = Browser { driver, session, base: base.to_owned(), process, _profile: profile };
        browser.resize(DESK).await;
        browser
    }

    async fn ask(&self, command: &str, body: &Value) -> Value {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("an HTTP client");
        let answer = client
            .post(format!("{}/{command}", self.session))
            .json(body)
            .send()
            .await
            .expect("chromedriver answers");
        answer.json::<Value>().await.expect("JSON")["value"].clone()
    }

    async fn resize(&self, (width, height): (u32, u32)) {
        // Windows do not get as narrow as telephones; what the page is told does.
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        let body = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.ask("goog/cdp/execute", &body).await;
    }

    async fn dress(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let body = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.ask("goog/cdp/execute", &body).await;
    }

    /// Goes to an address below the daemon's, such as `/web/dashboard/#/jobs`.
    pub(crate) async fn go(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.expect("the address opens");
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        let answer = self.driver.execute(script, Vec::<Value>::new()).await;
        answer.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }

    /// Waits until the script's value is true.
    pub(crate) async fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.run(script).await != json!(true) {
            if begun.elapsed() > PATIENCE {
                self.shoot("failed").await;
                panic!(
                    "waited for {script} in vain; the page says:\n{}\n{:?}",
                    self.text().await,
                    self.console().await
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page says so.
    pub(crate) async fn see(&self, text: &str) {
        self.until(&format!("return document.body.innerText.includes({})", json!(text))).await;
    }

    pub(crate) async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// The element, once it is there and can be seen.
    async fn find(&self, selector: &str) -> WebElement {
        let quoted = json!(selector);
        self.until(&format!("return document.querySelector({quoted})?.checkVisibility() === true")).await;
        self.driver.find(By::Css(selector)).await.expect("it was there a moment ago")
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        element.scroll_into_view().await.expect("it scrolls");
        element.click().await.unwrap_or_else(|error| panic!("click {selector}: {error}"));
    }

    /// Clicks the button or link with these words.
    pub(crate) async fn press(&self, words: &str) {
        let path = format!("//*[self::button or self::a][normalize-space()={words:?}]");
        let mark = format!(
            "return document.evaluate({}, document, null, 9, null).singleNodeValue?.checkVisibility() === true",
            json!(path)
        );
        self.until(&mark).await;
        let element = self.driver.find(By::XPath(path)).await.expect("it was there a moment ago");
        element.scroll_into_view().await.expect("it scrolls");
        element.click().await.unwrap_or_else(|error| panic!("press {words}: {error}"));
    }

    /// Writes into the field, in the place of what is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        element.clear().await.expect("it can be cleared");
        element.send_keys(text).await.expect("it can be written into");
    }

    /// Presses keys, in WebDriver's letters, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        self.driver.action_chain().send_keys(keys).perform().await.expect("keys are pressed");
    }

    /// Errors and warnings of the console since this was asked last.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.ask("se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap_or_else(|| panic!("no console: {log}"));
        let loud = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        loud.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Keeps a picture beside the build.
    pub(crate) async fn shoot(&self, name: &str) {
        let picture = self.driver.screenshot_as_png().await.expect("a picture");
        let directory = artefacts();
        std::fs::create_dir_all(&directory).expect("a directory for pictures");
        std::fs::write(directory.join(format!("{name}.png")), picture).expect("the picture is kept");
    }

    /// Looks at the page as it is now, on a desk and on a telephone, by day and by night: pictures, no sideways
    /// scrolling, and no serious violation of what axe knows.
    pub(crate) async fn inspect(&self, name: &str) {
        for (size, device) in [(PHONE, "phone"), (DESK, "desk")] {
            self.resize(size).await;
            for scheme in ["dark", "light"] {
                self.dress(scheme).await;
                self.shoot(&format!("{name}-{device}-{scheme}")).await;
                self.check_access(&format!("{name}, {device}, {scheme}")).await;
            }
            let wide = self.run("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(
                wide.as_i64().is_some_and(|wide| wide <= 0),
                "{name} scrolls sideways on a {device}: {wide}"
            );
        }
    }

    async fn check_access(&self, name: &str) {
        let axe = std::env::var_os("HYPERSDK_AXE")
            .expect("HYPERSDK_AXE is not set: run the tests by `cargo xtask test`");
        let axe = std::fs::read_to_string(PathBuf::from(axe)).expect("axe-core is there");
        self.run(&format!("if (!window.axe) {{ {axe} }}; return true")).await;
        let script = "const done = arguments[arguments.length - 1]; \
             axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations \
             .filter((v) => ['serious', 'critical'].includes(v.impact)) \
             .map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; ')}`)), (e) => done([String(e)]))";
        let found = self.driver.execute_async(script, Vec::<Value>::new()).await.expect("axe runs");
        assert_eq!(found.json(), &json!([]), "{name}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its Chromium along when it is asked; a kill would leave that behind.
        let session = self.session.clone();
        let asked = Command::new("curl")
            .args(["-s", "-m", "5", "-X", "DELETE", &session])
            .stdout(Stdio::null())
            .status();
        drop(asked);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where pictures are kept.
fn artefacts() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    target.join("dashboard")
}
