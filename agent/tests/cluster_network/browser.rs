//! Headless Chromium in a machine, driven through its debugging pipe (<https://chromedevtools.github.io/devtools-protocol/>):
//! messages are JSON with a zero byte at the end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::swarm::PATIENCE;
use super::switch::{Machine, Running, command, eventually};

/// For one answer, on a machine that does much else.
const ANSWER: Duration = Duration::from_secs(120);

/// The browser opens its end of the pipe, which are files here, as these numbers.
const START: &str = r#"exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --disable-component-update --user-data-dir="$0/profile" --remote-debugging-pipe \
    about:blank 3<"$0/in" 4>"$0/out""#;

/// A browser with one page.
pub(crate) struct Browser {
    input: File,
    output: Receiver<Value>,
    session: Value,
    count: u64,
    _process: Running,
}

impl Browser {
    /// Starts it in a machine.
    pub(crate) fn start(machine: &Machine) -> Self {
        let folder = machine.file("browser");
        std::fs::create_dir(&folder).expect("a folder");
        let folder = folder.to_str().expect("UTF-8");
        command(&format!("mkfifo {folder}/in {folder}/out"));
        let log = File::create(format!("{folder}/log")).expect("a log");
        let mut chromium = machine.inside("sh");
        chromium.args(["-c", START, folder]).env("HOME", folder);
        let process = chromium
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sh starts");
        let process = Running(process);
        let input = OpenOptions::new()
            .write(true)
            .open(format!("{folder}/in"))
            .expect("the pipe");
        let output = File::open(format!("{folder}/out")).expect("the pipe");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let value = serde_json::from_slice(&message).unwrap_or_default();
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            input,
            output: receiver,
            session: Value::Null,
            count: 0,
            _process: process,
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.ask("Target.attachToTarget", attach)["sessionId"].clone();
        browser.ask("Page.enable", json!({}));
        browser
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.count += 1;
        let mut message = json!({"id": self.count, "method": method, "params": parameters});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let sent = self.input.write_all(format!("{message}\0").as_bytes());
        sent.expect("Chromium runs (apt-get install chromium)");
        loop {
            let answer = self
                .output
                .recv_timeout(ANSWER)
                .expect("Chromium answers (apt-get install chromium)");
            if answer["id"] == self.count {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({"url": "about:blank"}));
        let opened = self.ask("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true; otherwise shows the page's text.
    pub(crate) fn until(&mut self, what: &str, expression: &str) {
        eventually(what, PATIENCE, || match self.value(expression) {
            Value::Bool(true) => Ok(()),
            other => Err(format!(
                "{other}; the page: {}",
                self.value("document.body.innerText")
            )),
        });
    }

    /// A window of this size, dark or light.
    pub(crate) fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", media);
    }

    /// Keeps a picture of the page among the test's artefacts.
    pub(crate) fn picture(&mut self, name: &str) {
        let data = self.ask("Page.captureScreenshot", json!({"format": "png"}));
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(data["data"].as_str().unwrap_or_default());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(file, bytes.expect("base64")).expect("a picture");
    }
}
