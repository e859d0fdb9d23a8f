//! Images from a web server on this machine, which may cut, lie, change its file, or say nothing.

use crate::image::{Image, MIB};
use crate::server::{Served, Server};
use crate::tools::{Outcome, flash_with, run};

/// Flashes a used card from a server, with a cache folder of the test's own.
fn from(image: &Image, arguments: &[&str], url: &str) -> Outcome {
    let cache = image.name("cache");
    let card = image.used_card("used.img", 24 * MIB);
    let arguments = [arguments, &["--yes", "--timeout", "2", "--device", &card, url]].concat();
    flash_with(&[("XDG_CACHE_HOME", &cache), ("NO_PROXY", "*")], &arguments, b"")
}

fn is_written(image: &Image) -> bool {
    let card = std::fs::read(image.path("used.img")).unwrap();
    card[..image.bytes.len()] == image.bytes
}

fn is_untouched(image: &Image) -> bool {
    let card = std::fs::read(image.path("used.img")).unwrap();
    card[..512] == image.bytes[..512] && card[512..].iter().all(|&byte| byte == 0xaa)
}

fn served(image: &Image) -> Served {
    Served {
        path: "/x.img.zip".to_owned(),
        bytes: std::fs::read(image.zip()).unwrap(),
        etag: "\"one\"",
        ..Served::default()
    }
}

#[test]
fn what_was_downloaded_once_is_asked_for_and_not_sent_again() {
    let image = Image::with_files(&[]);
    let server = Server::new(served(&image));
    let url = format!("{}/moved", server.address);
    for expected in ["", "if-none-match: \"one\""] {
        let outcome = from(&image, &[], &url);
        assert!(outcome.success, "{}", outcome.stderr);
        assert!(is_written(&image));
        assert_eq!(server.requests(), [expected]);
    }
}

#[test]
fn a_download_that_breaks_goes_on_in_the_next_run() {
    let image = Image::with_files(&[]);
    let server = Server::new(Served {
        cut_after: Some(100_000),
        ..served(&image)
    });
    let url = format!("{}/x.img.zip", server.address);
    let outcome = from(&image, &[], &url);
    let error = outcome.error();
    assert!(
        error.starts_with(&format!("flash: {url}: the download broke off (")),
        "{error}"
    );
    assert!(
        error.ends_with("): run it again: it goes on where it stopped"),
        "{error}"
    );
    assert!(is_untouched(&image));
    let range = |from: u32| format!("range: bytes={from}-, if-range: \"one\"");
    assert_eq!(server.requests(), [String::new(), range(100_000), range(200_000)]);
    server.change(|served| served.cut_after = None);
    let outcome = from(&image, &[], &url);
    assert!(outcome.success, "{}", outcome.stderr);
    assert_eq!(server.requests(), [range(300_000)]);
    assert!(is_written(&image));
}

#[test]
fn a_file_that_changes_in_between_is_begun_anew() {
    let image = Image::with_files(&[]);
    let server = Server::new(Served {
        cut_after: Some(100_000),
        ..served(&image)
    });
    let url = format!("{}/x.img.zip", server.address);
    assert!(!from(&image, &[], &url).success);
    let other = Image::with_files(&[("other", "x")]);
    server.change(|served| {
        *served = Served {
            etag: "\"two\"",
            ..self::served(&other)
        };
    });
    let outcome = from(&image, &[], &url);
    assert!(outcome.success, "{}", outcome.stderr);
    let card = std::fs::read(image.path("used.img")).unwrap();
    assert!(card[..other.bytes.len()] == other.bytes);
}

#[test]
fn lies_about_the_length() {
    let image = Image::with_files(&[]);
    let whole = served(&image);
    let length = whole.bytes.len();
    for (claimed, expected) in [
        (length + 5, "the download broke off ("),
        (length - 5, " cannot be unpacked ("),
    ] {
        let server = Server::new(Served {
            claimed: Some(claimed),
            ..whole.clone()
        });
        let url = format!("{}/x.img.zip", server.address);
        let outcome = from(&image, &[], &url);
        assert!(outcome.error().contains(expected), "{}", outcome.stderr);
        assert!(is_untouched(&image));
        // What was got wrong does not stand in the way.
        server.change(|served| served.claimed = None);
        let outcome = from(&image, &[], &url);
        assert!(outcome.success, "{}", outcome.stderr);
        assert!(is_written(&image));
    }
}

#[test]
fn a_wrong_checksum_never_reaches_a_card() {
    let image = Image::with_files(&[]);
    let right = run("sha256sum", &[&image.zip()]);
    let right = right.split(' ').next().unwrap();
    let wrong = "0123456789abcdef".repeat(4);
    let beside = |sum: &str| vec![("/x.img.zip.sha256".to_owned(), format!("{sum}  x.img.zip\n"))];
    for (option, beside, expected) in [
        (Some(wrong.as_str()), vec![], false),
        (None, beside(&wrong), false),
        (Some(right), beside(&wrong), true),
        (None, beside(right), true),
    ] {
        let server = Server::new(Served {
            beside,
            ..served(&image)
        });
        let url = format!("{}/x.img.zip", server.address);
        let option = option.map(|sum| ["--sha256", sum]);
        let outcome = from(&image, option.as_ref().map_or(&[], |option| option), &url);
        assert_eq!(outcome.success, expected, "{}", outcome.stderr);
        if expected {
            assert!(is_written(&image));
        } else {
            let message =
                format!("{url} has the SHA-256 {right}, expected was {wrong}: it is damaged or another file");
            assert!(outcome.error().contains(&message), "{}", outcome.stderr);
            assert!(is_untouched(&image));
        }
    }
}

#[test]
fn servers_that_do_not_give_it() {
    let image = Image::with_files(&[]);
    let server = Server::new(Served {
        silent: true,
        ..served(&image)
    });
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unreachable = format!("http://{}/x.img", gone.local_addr().unwrap());
    drop(gone);
    for (url, expected) in [
        (
            format!("{}/absent.img", server.address),
            ": there is no such file on the server (status 404): check the address",
        ),
        (
            format!("{}/circle", server.address),
            ": the server sends one around in circles (more than 10 redirects)",
        ),
        (
            format!("{}/x.img.zip", server.address),
            "the server has gone silent): run it again: it goes on",
        ),
        (unreachable, "run it again"),
        ("http://".to_owned(), "http://"),
    ] {
        let outcome = from(&image, &[], &url);
        assert!(outcome.error().contains(expected), "{url}: {}", outcome.stderr);
        assert!(is_untouched(&image));
    }
}

#[test]
fn encrypted_servers_must_be_trusted_by_the_system() {
    let image = Image::with_files(&[]);
    let (server, certificate) = Server::encrypted(served(&image));
    let certificate = image.file("ca.pem", certificate.as_bytes());
    let url = format!("{}/x.img.zip", server.address);
    let card = image.used_card("used.img", 24 * MIB);
    let cache = image.name("cache");
    let arguments = ["--yes", "--device", &card, &url];
    let mut environment = vec![("XDG_CACHE_HOME", cache.as_str()), ("NO_PROXY", "*")];
    let outcome = flash_with(&environment, &arguments, b"");
    assert!(outcome.error().contains("certificate"), "{}", outcome.stderr);
    assert!(is_untouched(&image));
    environment.push(("SSL_CERT_FILE", &certificate));
    let outcome = flash_with(&environment, &arguments, b"");
    assert!(outcome.success, "{}", outcome.stderr);
    assert!(is_written(&image));
}
