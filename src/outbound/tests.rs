//! What a call reports, against a receiver that behaves as badly as receivers do.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::config::Config;

const SOON: Duration = Duration::from_millis(300);

/// What the receiver does with each connection.
#[derive(Clone, Copy)]
enum Receiver {
    /// Reads the request, then writes this and closes.
    Answers(&'static str),
    /// Reads the request and stays silent.
    Hangs,
    /// Reads the request and closes.
    DropsAfterReading,
    /// Does not even read, and stays silent.
    NeverReads,
}

impl Receiver {
    async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.serve(stream));
            }
        });
        address.to_string()
    }

    async fn serve(self, mut stream: TcpStream) {
        if !matches!(self, Self::NeverReads) {
            let mut read = Vec::new();
            while !read.ends_with(b"{}") {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        }
        match self {
            Self::Answers(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Self::DropsAfterReading => {}
            Self::Hangs | Self::NeverReads => tokio::time::sleep(Duration::from_secs(60)).await,
        }
    }
}

async fn post(url: &str) -> Result<Answer, Failed> {
    let config = Config::from_toml("[delivery]\nallow_http = true\nallow_private_addresses = true").unwrap();
    let client = Client::new(Guard::new(&config.delivery)).unwrap();
    client.post(url, HeaderMap::new(), "{}".to_owned(), SOON).await
}

async fn post_to(receiver: Receiver) -> Result<Answer, Failed> {
    post(&format!("http://{}/notify", receiver.start().await)).await
}

#[tokio::test]
async fn a_complete_answer_is_reported_with_its_status() {
    let ok = post_to(Receiver::Answers("HTTP/1.1 204 No Content\r\n\r\n")).await.unwrap();
    assert_eq!(ok.status, 204);
    let refused = post_to(Receiver::Answers("HTTP/1.1 422 No\r\ncontent-length: 2\r\n\r\nno")).await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.body[..]), (422, &b"no"[..]));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let answer = Receiver::Answers("HTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(post_to(answer).await.unwrap().status, 307);
}

#[tokio::test]
async fn a_call_that_did_not_leave_is_known_not_to_have_left() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let not_tls = Receiver::Answers("HTTP/1.1 400 Speak HTTP\r\n\r\n").start().await;
    let silent = Receiver::NeverReads.start().await;
    for url in [
        "ftp://poc.example/".to_owned(),
        "http://no-such-host.invalid/".to_owned(),
        format!("http://{free}/"),
        format!("https://{not_tls}/"),
        format!("https://{silent}/"),
    ] {
        assert!(matches!(post(&url).await, Err(Failed::NeverSent(_))), "{url}");
    }
}

#[tokio::test]
async fn a_call_without_a_complete_answer_is_unknown() {
    for receiver in [
        Receiver::Hangs,
        Receiver::NeverReads,
        Receiver::DropsAfterReading,
        Receiver::Answers("HTTP/1.1 500 No\r\ncontent-length: 5\r\n\r\nhal"),
        Receiver::Answers("nonsense"),
    ] {
        assert!(matches!(post_to(receiver).await, Err(Failed::Unknown(_))));
    }
}

#[tokio::test]
async fn a_success_is_one_whatever_becomes_of_its_text() {
    let cut = Receiver::Answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal");
    assert_eq!(post_to(cut).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let endless: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n{}", "x".repeat(1_000_000)).into_boxed_str(),
    );
    assert_eq!(post_to(Receiver::Answers(endless)).await.unwrap().body.len(), 256 * 1024);
}

#[tokio::test]
async fn reasons_name_neither_path_nor_query() {
    let Err(failed) = post("http://no-such-host.invalid/secret?token=1").await else { panic!("there is no such host") };
    assert!(!failed.to_string().contains("secret"), "{failed}");
}
