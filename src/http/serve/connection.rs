//! One connection, from its first byte until the last response has arrived.
//!
//! Owns how a connection ends. Must not know why the connection was admitted.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::Service;

use super::discard::discard;
use super::download::Download;
use super::line::{Line, OwnLine, Phase};
use super::shed;
use super::slots::LEAVING_TIMEOUT;
use super::stream::Timed;
use super::upload::Upload;

/// The largest head of a request, in bytes.
pub(super) const MAX_HEAD: usize = 32 * 1024;

/// When the process stops, a connection without a request is kept for this long. A request may be
/// on its way, and would otherwise be lost unread. The response to such a request is the
/// connection's last.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// Serves one connection to its end. An error that breaks the connection is the client's concern,
/// so it is not reported.
pub(super) async fn carry<I>(
    io: I,
    peer: SocketAddr,
    router: Router,
    line: Arc<Line>,
    ending: &mut oneshot::Receiver<Duration>,
    idle_timeout: Duration,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::clone(&line);
    let service = service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        shared.begin();
        let large = refuse_large_head(&request);
        let line = Arc::clone(&shared);
        let mut request = request.map(|body| Body::new(Upload::new(body, line)));
        request.extensions_mut().insert(ConnectInfo(peer));
        // A request that waits for news says so in its query.
        if request.uri().query().is_some() {
            request.extensions_mut().insert(OwnLine::new(&shared));
        }
        let answer = large.is_none().then(|| router.clone().call(request));
        let line = Arc::clone(&shared);
        async move {
            let response = match (large, answer) {
                (None, Some(answer)) => answer.await?,
                (large, _) => large.unwrap_or_default(),
            };
            Ok::<_, Infallible>(leave(response, line))
        }
    });
    let io = TokioIo::new(Timed::new(io, Arc::clone(&line), idle_timeout));
    let mut builder = http1::Builder::new();
    // The stream has its own deadlines, which distinguish a head from the time between two
    // requests.
    builder.header_read_timeout(None).max_buf_size(MAX_HEAD);
    let mut connection = builder.serve_connection(io, service);
    let ended = tokio::select! {
        biased;
        ended = turns(&mut connection, &line) => Ok(ended),
        told = ending => Err(told.unwrap_or(LEAVING_TIMEOUT)),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(_) if line.is_last() => {
            if let Ok(ended) = timeout(LAST_REQUEST_TIMEOUT, turns(&mut connection, &line)).await {
                ended
            } else {
                Pin::new(&mut connection).graceful_shutdown();
                turns(&mut connection, &line).await
            }
        }
        Err(room_timeout) if line.awaits_body() => {
            let io = connection.into_parts().io.into_inner();
            // If part of another response has been written, the client would read this response as
            // its rest.
            if !io.is_blocked() {
                let _ = timeout(room_timeout, shed::tell_to_return(&mut io.into_inner())).await;
            }
            return;
        }
        Err(room_timeout) => {
            Pin::new(&mut connection).graceful_shutdown();
            match timeout(room_timeout, turns(&mut connection, &line)).await {
                Ok(ended) => ended,
                // A request that is being answered still gets its response. A client that does not
                // read has had its time.
                Err(_) if line.waiting_since().is_none() => turns(&mut connection, &line).await,
                Err(_) => return,
            }
        }
    };
    if line.lingers() || ended.is_err_and(|error| error.is_parse()) {
        discard(&mut connection.into_parts().io.into_inner().into_inner()).await;
    }
}

/// Polls the connection and counts the polls as turns, so that its stream can tell one turn from
/// the next.
async fn turns<C: Future + Unpin>(connection: &mut C, line: &Line) -> C::Output {
    poll_fn(|cx| {
        line.take_turn();
        Pin::new(&mut *connection).poll(cx)
    })
    .await
}

/// The refusal of a head that is larger than allowed. Hyper compares the size only while a head has
/// not arrived completely, so a larger one may pass it.
fn refuse_large_head<B>(request: &axum::http::Request<B>) -> Option<Response> {
    let uri = request.uri();
    let target = uri.authority().map_or(0, |host| host.as_str().len())
        + uri.path_and_query().map_or(0, |path| path.as_str().len());
    // Each line has a colon, a space and a line break.
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let fields: usize = request.headers().iter().map(size).sum();
    let status = if target > MAX_HEAD {
        StatusCode::URI_TOO_LONG
    } else if target + fields > MAX_HEAD {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    } else {
        return None;
    };
    Some((status, [(CONNECTION, "close")]).into_response())
}

/// Notes on the line what a response means for the connection. The connection's last response says
/// `Connection: close`, so that the client opens another connection, elsewhere.
fn leave(mut response: Response, line: Arc<Line>) -> Response {
    line.set_phase(Phase::Answered);
    let headers = response.headers_mut();
    if headers.contains_key(CONNECTION) {
        // The response says `Connection: close` already: a body was left unread.
        line.linger();
    } else if line.is_last() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::new(Download::new(body, line)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};

    use super::super::download::DOWNLOAD_TIMEOUT;
    use super::super::stream::{HEAD_TIMEOUT, WRITE_TIMEOUT};
    use super::*;

    const IDLE: Duration = Duration::from_secs(75);
    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na=b";

    struct Served {
        client: DuplexStream,
        line: Arc<Line>,
        told: Option<oneshot::Sender<Duration>>,
        server: JoinHandle<()>,
        began: Instant,
    }

    /// A server of one connection, whose responses have a body of this many bytes.
    fn served(answer: usize) -> Served {
        served_in(answer, Duration::ZERO)
    }

    /// The same server, which takes this long for a response.
    fn served_in(answer: usize, time: Duration) -> Served {
        let (client, server) = tokio::io::duplex(16 * 1024);
        let body = "x".repeat(answer);
        let router = Router::new().route(
            "/",
            axum::routing::any(async move |_body: String| {
                sleep(time).await;
                body
            }),
        );
        let line = Arc::new(Line::new());
        let (told, mut ending) = oneshot::channel();
        let shared = Arc::clone(&line);
        let server = tokio::spawn(async move {
            let peer = SocketAddr::from(([192, 0, 2, 1], 1));
            carry(server, peer, router, shared, &mut ending, IDLE).await;
        });
        Served {
            client,
            line,
            told: Some(told),
            server,
            began: Instant::now(),
        }
    }

    impl Served {
        async fn send(&mut self, bytes: &str) {
            self.client.write_all(bytes.as_bytes()).await.unwrap();
        }

        /// Reads one response with a body of two bytes.
        async fn answer(&mut self) -> String {
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\nxx") {
                assert_ne!(
                    self.client.read_buf(&mut read).await.unwrap(),
                    0,
                    "closed: {}",
                    read.escape_ascii()
                );
            }
            String::from_utf8(read).unwrap()
        }

        /// The time until the server ended the connection. The server must have sent nothing more.
        async fn end(&mut self) -> Duration {
            let mut rest = Vec::new();
            self.client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest.escape_ascii().to_string(), "");
            self.began.elapsed()
        }
    }

    fn near(measured: Duration, expected: Duration) -> bool {
        let near = (expected..expected + Duration::from_millis(100)).contains(&measured);
        assert!(near, "{measured:?} is not {expected:?}");
        near
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_polls_keeps_its_connection() {
        for pause in [15, 30, 74] {
            let mut served = served(2);
            for _ in 0..40 {
                served.send(GET).await;
                served.answer().await;
                sleep(Duration::from_secs(pause)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_after_its_own_time() {
        let mut fresh = served(2);
        assert!(near(fresh.end().await, IDLE));
        let mut used = served(2);
        sleep(Duration::from_secs(40)).await;
        used.send(GET).await;
        used.answer().await;
        assert!(near(used.end().await, Duration::from_secs(40) + IDLE));
        // A line break after a body does not begin a request.
        let mut old = served(2);
        old.send(POST).await;
        old.answer().await;
        sleep(Duration::from_secs(1)).await;
        old.send("\r\n").await;
        sleep(Duration::from_mins(1)).await;
        old.send(GET).await;
        old.answer().await;
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_has_a_shorter_time_however_it_drips() {
        let mut half = served(2);
        half.send("GET / HTTP/1.1\r\nx-a: ").await;
        assert!(near(half.end().await, HEAD_TIMEOUT));
        // After a request and an idle time, a head has the same timeout.
        let mut later = served(2);
        later.send(GET).await;
        later.answer().await;
        sleep(Duration::from_secs(50)).await;
        later.send("G").await;
        assert!(near(
            later.end().await,
            Duration::from_secs(50) + HEAD_TIMEOUT
        ));
        let mut dripping = served(2);
        while dripping.client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
        assert!(dripping.began.elapsed() < HEAD_TIMEOUT + Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_reads_what_is_written_is_closed() {
        let mut served = served(100_000);
        for _ in 0..20 {
            served.send(GET).await;
        }
        (&mut served.server).await.unwrap();
        assert!(near(served.began.elapsed(), WRITE_TIMEOUT));
    }

    /// A server of one connection, whose response has these parts, each after the pause.
    fn served_in_parts(parts: u32, bytes: usize, pause: Duration) -> Served {
        let (client, server) = tokio::io::duplex(16 * 1024);
        let router = Router::new().route(
            "/",
            axum::routing::any(async move || {
                Body::from_stream(futures_util::stream::unfold(0, move |part| async move {
                    sleep(pause).await;
                    let part = Some(part).filter(|part| *part < parts)?;
                    Some((Ok::<_, Infallible>("x".repeat(bytes)), part + 1))
                }))
            }),
        );
        let line = Arc::new(Line::new());
        let (told, mut ending) = oneshot::channel();
        let shared = Arc::clone(&line);
        let server = tokio::spawn(async move {
            let peer = SocketAddr::from(([192, 0, 2, 1], 1));
            carry(server, peer, router, shared, &mut ending, IDLE).await;
        });
        Served {
            client,
            line,
            told: Some(told),
            server,
            began: Instant::now(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_made_while_it_is_sent_is_no_idle_time() {
        let mut served = served_in_parts(3, 10, 2 * IDLE);
        served.send(GET).await;
        sleep(3 * IDLE).await;
        assert!(served.line.waiting_since().is_none(), "the server works");
        let mut read = Vec::new();
        while !read.ends_with(b"0\r\n\r\n") {
            let bytes = served.client.read_buf(&mut read).await.unwrap();
            assert_ne!(bytes, 0, "closed: {}", read.escape_ascii());
        }
        // After its end, an idle time begins.
        let ended = served.began.elapsed();
        assert!(near(served.end().await, ended + IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_made_while_it_is_sent_has_a_deadline() {
        // The client reads little at a time, or the server never comes to an end.
        for (bytes, pause) in [(100_000, Duration::ZERO), (1, Duration::from_secs(1))] {
            let mut served = served_in_parts(u32::MAX, bytes, pause);
            served.send(GET).await;
            let mut read = [0; 100];
            while served
                .client
                .read(&mut read)
                .await
                .is_ok_and(|bytes| bytes > 0)
            {
                sleep(WRITE_TIMEOUT / 2).await;
            }
            (&mut served.server).await.unwrap();
            let took = served.began.elapsed();
            assert!(took >= DOWNLOAD_TIMEOUT, "{took:?}");
        }
        // The connection ends at the deadline, whatever is left in its buffers.
        let served = served_in_parts(u32::MAX, 100_000, Duration::ZERO);
        let Served {
            mut client,
            server,
            began,
            ..
        } = served;
        client.write_all(GET.as_bytes()).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut read = [0; 100];
            while client.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {
                sleep(WRITE_TIMEOUT / 2).await;
            }
        });
        server.await.unwrap();
        assert!(near(began.elapsed(), DOWNLOAD_TIMEOUT));
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served() {
        let mut served = served(100_000);
        served.send(GET).await;
        let mut read = Vec::new();
        while read.len() < 100_000 {
            sleep(WRITE_TIMEOUT / 2).await;
            served.client.read_buf(&mut read).await.unwrap();
        }
        assert!(served.began.elapsed() > WRITE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_makes_room_ends_unless_it_is_being_answered() {
        let mut idle = served(2);
        idle.send(GET).await;
        idle.answer().await;
        drop(idle.told.take());
        assert!(near(idle.end().await, Duration::ZERO));
        let mut deaf = served(100_000);
        deaf.send(GET).await;
        sleep(Duration::from_secs(1)).await;
        assert!(deaf.line.waiting_since().is_some());
        drop(deaf.told.take());
        (&mut deaf.server).await.unwrap();
        assert!(near(
            deaf.began.elapsed(),
            Duration::from_secs(1) + LEAVING_TIMEOUT
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_is_answered_whoever_needs_room() {
        let mut busy = served_in(2, Duration::from_secs(5));
        busy.send(POST).await;
        sleep(Duration::from_secs(1)).await;
        assert!(busy.line.waiting_since().is_none());
        drop(busy.told.take());
        assert!(busy.answer().await.contains("connection: close"));
        assert!(near(busy.began.elapsed(), Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_body_does_not_come_makes_room_and_is_told_to_come_again() {
        for sent in [GET, ""] {
            let mut stalling = served(2);
            stalling.send(sent).await;
            if !sent.is_empty() {
                stalling.answer().await;
            }
            sleep(Duration::from_secs(1)).await;
            stalling.send(&POST[..POST.len() - 2]).await;
            sleep(Duration::from_secs(1)).await;
            let since = stalling
                .line
                .waiting_since()
                .expect("the server waits for the client");
            // More bytes of the body do not begin a new wait.
            stalling.send("=").await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(stalling.line.waiting_since(), Some(since));
            drop(stalling.told.take());
            let mut told = String::new();
            stalling.client.read_to_string(&mut told).await.unwrap();
            assert!(
                told.starts_with("HTTP/1.1 503 ") && told.contains("retry-after: 1\r\n"),
                "{told}"
            );
            assert!(stalling.began.elapsed() < Duration::from_secs(4));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_behind_a_request_has_the_time_of_a_head() {
        for (whole, half, ends_after) in [
            (GET, "GET / HTTP/1.1\r\nx-a: ", HEAD_TIMEOUT),
            (POST, "G", HEAD_TIMEOUT),
            // A line break after a body does not begin a request.
            (POST, "\r\n", IDLE),
            (GET, "", IDLE),
            (POST, "", IDLE),
        ] {
            let mut served = served(2);
            served.send(&format!("{whole}{half}")).await;
            served.answer().await;
            assert!(near(served.end().await, ends_after), "{half:?}");
        }
        // The rest of the head completes a request like any other. An idle time follows its
        // response.
        let mut served = served(2);
        served.send(&format!("{POST}{}", &GET[..10])).await;
        served.answer().await;
        sleep(Duration::from_secs(10)).await;
        served.send(&GET[10..]).await;
        served.answer().await;
        assert!(near(served.end().await, Duration::from_secs(10) + IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_follows_a_request_with_trailers() {
        let chunked =
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n";
        // To a reader that ends lines at a bare LF, these bytes hold a second request.
        for (trailers, is_last) in [
            ("\r\n", false),
            ("x: y\r\n\r\n", true),
            ("x: y\n\nGET / HTTP/1.1\nhost: x\r\n\r\n", true),
        ] {
            let mut served = served(2);
            served.send(&format!("{chunked}{trailers}")).await;
            let answer = served.answer().await;
            let says_close = answer.contains("connection: close");
            assert_eq!(says_close, is_last, "{trailers:?}: {answer}");
            if is_last {
                assert!(near(served.end().await, Duration::ZERO));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_process_stops_a_request_on_its_way_is_answered_and_is_the_last() {
        let mut served = served(2);
        served.send(GET).await;
        served.answer().await;
        served.line.end_after_answer();
        drop(served.told.take());
        sleep(LAST_REQUEST_TIMEOUT / 2).await;
        served.send(GET).await;
        assert!(served.answer().await.contains("connection: close"));
        served.end().await;
    }
}
