//! The members' channel against those who are no members: real TLS clients, and bytes that are no TLS at all.

#![expect(clippy::unwrap_used, reason = "a test, all of it")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use boot_config::{ClusterSecret, Settings};
use cluster_lab::members::{AskError, Members, Server};
use cluster_lab::trust::Trust;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const ANSWER: &str = "for members only";

fn members(secret: u8) -> Members {
    let secret = ClusterSecret::from_bytes([secret; 32]);
    let trust = Trust::decide(Some(secret), &Settings::default().cluster).unwrap();
    Members::new(trust, "n1")
}

fn serve(members: &Members) -> Server {
    let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let routes = Router::new().route("/answer", get(|| async { ANSWER }));
    members.serve("lo", anywhere, routes).unwrap()
}

async fn check_answers(members: &Members, server: &Server) {
    let answer = members.get(server.address(), "lo", "/answer").await.unwrap();
    assert_eq!(answer, ANSWER.as_bytes());
}

/// `openssl s_client` sends a request, however its handshake goes.
async fn openssl(server: &Server, more: &[&str]) -> Output {
    let mut client = tokio::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &server.address().to_string()])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let _ = stdin.write_all(b"GET /answer HTTP/1.1\r\nhost: n1\r\n\r\n").await;
    let output = client.wait_with_output();
    tokio::time::timeout(Duration::from_secs(20), output)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn members_ask_each_other_on_one_connection() {
    let (here, there) = (members(1), members(1));
    let server = serve(&there);
    let mut connection = here.connect(server.address(), "lo").await.unwrap();
    for _ in 0..3 {
        assert_eq!(connection.get("/answer").await.unwrap(), ANSWER.as_bytes());
    }
    let error = connection.get("/nothing").await.unwrap_err();
    assert_eq!(error.to_string(), "the answer was 404 Not Found");
}

#[tokio::test]
async fn another_secret_is_told_from_other_failures() {
    let server = serve(&members(1));
    let stranger = members(2);
    let error = stranger.get(server.address(), "lo", "/answer").await.unwrap_err();
    assert!(matches!(error, AskError::OtherSecret), "{error:?}");
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    let error = stranger
        .get(nobody, "lo", "/answer")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("connecting to 127.0.0.1:1: Connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn who_is_no_member_is_refused_by_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key"), path("certificate"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ed25519",
            "-nodes",
            "-subj",
            "/CN=Cluster Lab",
        ])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let members = members(1);
    let server = serve(&members);
    for (more, expected) in [
        (&[][..], "alert certificate required"),
        (&["-cert", &certificate, "-key", &key], "alert "),
        (&["-tls1_2"], "alert protocol version"),
        (
            &["-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            "alert handshake failure",
        ),
    ] {
        let output = openssl(&server, more).await;
        let (said, heard) = (
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout),
        );
        assert!(said.contains(expected), "{more:?}: {said}");
        assert!(!heard.contains("HTTP") && !heard.contains(ANSWER), "{heard}");
        check_answers(&members, &server).await;
    }
}

/// Sends bytes and waits for the end of the connection.
async fn send(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut heard = Vec::new();
    let end = stream.read_to_end(&mut heard);
    let _ = tokio::time::timeout(Duration::from_secs(10), end).await.unwrap();
    assert!(heard.len() < 64, "an alert at most: {heard:?}");
}

/// Records of TLS that announce a ClientHello and go on with anything, and anything at all.
#[test]
fn hostile_bytes_never_end_the_server() {
    use proptest::prelude::{any, prop_oneof};
    use proptest::strategy::Strategy;

    let anything = || proptest::collection::vec(any::<u8>(), 0..600);
    let hello = anything().prop_map(|body| {
        let length = u16::try_from(body.len()).unwrap();
        let mut record = vec![22, 3, 1];
        record.extend((length + 4).to_be_bytes());
        record.extend([1, 0]);
        record.extend(length.to_be_bytes());
        record.extend(body);
        record
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let members = members(1);
    let server = runtime.block_on(async { serve(&members) });
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(300)
    });
    runner
        .run(&prop_oneof![hello, anything()], |bytes| {
            runtime.block_on(send(&server, &bytes));
            Ok(())
        })
        .unwrap();
    runtime.block_on(check_answers(&members, &server));
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_dropped_and_keeps_nobody_out() {
    let members = members(1);
    let server = serve(&members);
    let start = Instant::now();
    let address = server.address();
    let from = |last: u8| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        socket.connect(address.into()).await.unwrap()
    };
    // Far more than one address may have; the members' own address is another one.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(from(9).await);
    }
    check_answers(&members, &server).await;
    let closed = silent.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 64]).await;
            start.elapsed()
        })
    });
    let mut closed_at_once = 0;
    for closed in closed.collect::<Vec<_>>() {
        let after = closed.await.unwrap();
        closed_at_once += usize::from(after < Duration::from_secs(3));
        assert!(after < Duration::from_secs(9), "dropped after {after:?}");
    }
    assert_eq!(
        closed_at_once, 42,
        "of 50 all but the eight that one address may have"
    );
}
