//! A headless Chromium, driven over its DevTools protocol: enough to open pages, click and look.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The names under which a Chromium is looked for in `PATH`, the smallest first. `SOFA_TEST_BROWSER` names another.
const NAMES: [&str; 5] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"];

/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running browser with no pages. Dropped, it ends.
pub struct Browser {
    child: Child,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    known_targets: Vec<String>,
    /// What pages complained of: uncaught errors, violations of a content security policy and the like; not HTTP statuses.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// A tab.
#[derive(Clone)]
pub struct Tab {
    session: String,
}

/// The program to run, if there is one.
pub fn program() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("SOFA_TEST_BROWSER") {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    NAMES.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|candidate| candidate.is_file()))
}

impl Browser {
    /// Starts the program with an empty profile.
    pub async fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["--headless", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--hide-scrollbars"])
            .args(["--disable-dev-shm-usage", "--window-size=1200,900"])
            // Its sandbox needs rights that root and most containers have not; it sees our own pages only.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Debian's program is a shell script that stays: the whole group is ended.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("DevTools listening on ")?.to_owned()));
        let address = address.expect("the browser says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        let (socket, _) = connect_async(&address).await.unwrap();
        Self { child, socket, last_id: 0, known_targets: Vec::new(), complaints: Vec::new(), _profile: profile }
    }

    /// Opens an address in a new tab.
    pub async fn open(&mut self, url: &str) -> Tab {
        let made = self.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let tab = self.attach(made["targetId"].as_str().unwrap()).await;
        self.call(Some(&tab), "Page.navigate", json!({ "url": url })).await;
        tab
    }

    /// The tab that a page has opened.
    pub async fn opened_tab(&mut self) -> Tab {
        let begun = Instant::now();
        loop {
            let targets = self.call(None, "Target.getTargets", json!({})).await;
            let mut pages = targets["targetInfos"].as_array().unwrap().iter().filter(|info| info["type"] == "page");
            let is_new = |id: &str| !self.known_targets.iter().any(|known| known == id);
            let new = pages.find_map(|info| info["targetId"].as_str().filter(|id| is_new(id)).map(str::to_owned));
            if let Some(id) = new {
                return self.attach(&id).await;
            }
            assert!(begun.elapsed() < PATIENCE, "no tab was opened");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn attach(&mut self, target: &str) -> Tab {
        if self.known_targets.is_empty() {
            // The blank page that some builds start with is not one that a page has opened.
            let targets = self.call(None, "Target.getTargets", json!({})).await;
            let ids = targets["targetInfos"].as_array().unwrap().iter().filter_map(|info| info["targetId"].as_str());
            self.known_targets = ids.map(str::to_owned).collect();
        }
        self.known_targets.push(target.to_owned());
        let attached = self.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await;
        let tab = Tab { session: attached["sessionId"].as_str().unwrap().to_owned() };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.call(Some(&tab), domain, json!({})).await;
        }
        tab
    }

    /// The value of a JavaScript expression in a tab, evaluated as if a person had just clicked.
    pub async fn eval(&mut self, tab: &Tab, expression: &str) -> Value {
        let asked = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true
        });
        let answer = self.call(Some(tab), "Runtime.evaluate", asked).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in a tab, through navigations.
    pub async fn until(&mut self, tab: &Tab, expression: &str) {
        let begun = Instant::now();
        // A page that is just being left has no document: that is false, not an error.
        let guarded = format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
        while self.eval(tab, &guarded).await != true {
            if begun.elapsed() > PATIENCE {
                let seen = self.eval(tab, "location.href + '\\n' + document.body.innerText").await;
                panic!("waited for: {expression}\ncomplaints: {:?}\n{}", self.complaints, seen.as_str().unwrap_or(""));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Clicks what a selector finds, once it is there.
    pub async fn click(&mut self, tab: &Tab, selector: &str) {
        self.until(tab, &format!("document.querySelector({selector:?})")).await;
        self.eval(tab, &format!("document.querySelector({selector:?}).click()")).await;
    }

    /// Puts a text into the field that a selector finds, once it is there.
    pub async fn fill(&mut self, tab: &Tab, selector: &str, text: &str) {
        self.until(tab, &format!("document.querySelector({selector:?})")).await;
        self.eval(tab, &format!("document.querySelector({selector:?}).value = {text:?}")).await;
    }

    /// Presses and releases a key as a person does: `Tab`, `Enter` or `Space`.
    pub async fn press(&mut self, tab: &Tab, key: &str) {
        let (key, code, number, text) = match key {
            "Tab" => ("Tab", "Tab", 9, ""),
            "Enter" => ("Enter", "Enter", 13, "\r"),
            "Space" => (" ", "Space", 32, " "),
            other => panic!("no key {other}"),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": number });
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call(Some(tab), "Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number });
        self.call(Some(tab), "Input.dispatchKeyEvent", up).await;
    }

    /// Goes to what a selector finds with the Tab key alone; there must be a mark that shows where one is.
    pub async fn tab_to(&mut self, tab: &Tab, selector: &str) {
        self.until(tab, &format!("document.readyState === 'complete' && document.querySelector({selector:?})")).await;
        let is_there = format!("document.activeElement?.matches({selector:?}) === true");
        for _ in 0..60 {
            if self.eval(tab, &is_there).await == true {
                let mark = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
                assert_eq!(self.eval(tab, mark).await, true, "{selector} shows no focus");
                return;
            }
            self.press(tab, "Tab").await;
        }
        panic!("the Tab key does not lead to {selector}");
    }

    /// Types a text where the focus is.
    pub async fn enter_text(&mut self, tab: &Tab, text: &str) {
        self.call(Some(tab), "Input.insertText", json!({ "text": text })).await;
    }

    /// Asks for pages in this language, and goes to an address.
    pub async fn go_to(&mut self, tab: &Tab, url: &str, language: &str) {
        let headers = json!({ "headers": { "Accept-Language": language } });
        self.call(Some(tab), "Network.setExtraHTTPHeaders", headers).await;
        self.call(Some(tab), "Page.navigate", json!({ "url": url })).await;
    }

    /// Writes a picture of a tab into the folder `SOFA_TEST_SCREENSHOTS`, when that is set.
    pub async fn picture(&mut self, tab: &Tab, name: &str) {
        if let Some(folder) = std::env::var_os("SOFA_TEST_SCREENSHOTS") {
            let shot = json!({ "format": "png", "captureBeyondViewport": true });
            let picture = self.call(Some(tab), "Page.captureScreenshot", shot).await;
            let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
        }
    }

    async fn call(&mut self, tab: Option<&Tab>, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(tab) = tab {
            message["sessionId"] = tab.session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let Message::Text(text) = self.socket.next().await.expect("the browser is there").unwrap() else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.last_id {
                // The page was left while the expression ran; the caller asks again.
                let left = answer["error"]["message"].as_str().is_some_and(|text| text.contains("context"));
                assert!(answer.get("error").is_none() || left, "{method}: {answer}");
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(event["params"]["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => {
                let entry = &event["params"]["entry"];
                if entry["level"] == "error" && entry["source"] != "network" {
                    self.complaints.push(entry["text"].to_string());
                }
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id())
            && let Some(group) = rustix::process::Pid::from_raw(group)
        {
            let _already_gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _status = self.child.wait();
    }
}
