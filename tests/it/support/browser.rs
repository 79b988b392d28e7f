//! A headless Chromium, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::free_port;

/// The key of an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser with one window; ends when dropped.
pub struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts chromedriver and a window of this size.
    pub async fn open(width: u32, height: u32) -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: apt-get install chromium-driver");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--no-first-run".into(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let client = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}");
        let deadline = std::time::Instant::now() + PATIENCE;
        let answer = loop {
            match client
                .post(format!("{base}/session"))
                .json(&capabilities)
                .send()
                .await
            {
                Ok(answer) => break answer.json::<Value>().await.unwrap(),
                Err(error) => {
                    assert!(
                        std::time::Instant::now() < deadline,
                        "chromedriver: {error}"
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        let id = answer["value"]["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        let session = format!("{base}/session/{id}");
        Self {
            driver,
            session,
            client,
            _profile: profile,
        }
    }

    /// Loads a page.
    pub async fn go(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    /// Waits until an element fits the CSS selector and holds this text; returns its id.
    pub async fn find(&self, selector: &str, text: &str) -> String {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let query = json!({"using": "css selector", "value": selector});
            let found = self.post("elements", query).await;
            for element in found.as_array().into_iter().flatten() {
                let id = element[ELEMENT].as_str().unwrap().to_owned();
                if text.is_empty() || self.text(&id).await.is_some_and(|all| all.contains(text)) {
                    return id;
                }
            }
            if std::time::Instant::now() >= deadline {
                let page = self.run("return document.body.innerText").await;
                panic!(
                    "no {selector} with “{text}” in:\n{}",
                    page.as_str().unwrap_or_default()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses the element that fits. It may be drawn anew meanwhile: then the new one.
    pub async fn press(&self, selector: &str, text: &str) {
        for _ in 0..20 {
            let id = self.find(selector, text).await;
            if self
                .try_post(&format!("element/{id}/click"), json!({}))
                .await
                .is_ok()
            {
                return;
            }
        }
        panic!("{selector} with “{text}” can't be pressed");
    }

    /// Types into the element that fits.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let id = self.find(selector, "").await;
        self.post(&format!("element/{id}/value"), json!({"text": text}))
            .await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Commands the browser itself
    /// (<https://chromedevtools.github.io/devtools-protocol/tot/Emulation/>).
    pub async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({"cmd": command, "params": params});
        self.post("goog/cdp/execute", body).await
    }

    /// The address of the page.
    pub async fn address(&self) -> String {
        self.run("return location.href")
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What the page logged as an error.
    pub async fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", json!({"type": "browser"})).await;
        log.as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Saves a picture of the window (PNG) when `SCREENSHOTS` names a folder, to be looked at.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else {
            return;
        };
        let answer = self
            .client
            .get(format!("{}/screenshot", self.session))
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let file = std::path::Path::new(&folder).join(format!("{name}.b64"));
        std::fs::write(file, answer["value"].as_str().unwrap()).unwrap();
    }

    async fn text(&self, id: &str) -> Option<String> {
        let url = format!("{}/element/{id}/text", self.session);
        let answer: Value = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        // Drawn anew since it was found: gone.
        answer["value"].as_str().map(str::to_owned)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.try_post(path, body)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_post(&self, path: &str, body: Value) -> Result<Value, Value> {
        let url = format!("{}/{path}", self.session);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        let good = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        let value = answer["value"].take();
        if good { Ok(value) } else { Err(value) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver ends its browser when it is told to end.
        let _ = Command::new("kill")
            .args(["-TERM", &self.driver.id().to_string()])
            .status();
        let _ = self.driver.wait();
    }
}
