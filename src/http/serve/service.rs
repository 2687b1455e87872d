//! How an admitted connection is served: plainly, or behind a handshake of TLS.
//!
//! Owns what a stop means for a connection in its handshake. Must not know why the connection was
//! admitted.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::connection::carry;
use super::line::Line;
use super::slots::LEAVING_TIMEOUT;
use super::table::Seat;
use super::tls::Tls;

/// What a connection is served with.
pub(super) struct Service {
    /// Answers its requests.
    pub router: Router,
    /// How long it is kept between two requests.
    pub idle_timeout: Duration,
    /// What is offered in its handshake. `None` means plain HTTP.
    pub tls: Option<Arc<Tls>>,
}

impl Service {
    /// Serves a connection to its end.
    pub(super) async fn serve(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        mut seat: Seat,
        line: Arc<Line>,
    ) {
        let (router, idle, ending) = (self.router, self.idle_timeout, &mut seat.ending);
        match self.tls {
            None => carry(stream, peer, router, line, ending, idle).await,
            // A plain connection would hold the room of a handshake as long as it lives.
            Some(tls) => Box::pin(serve_tls(tls, stream, peer, router, line, ending, idle)).await,
        }
    }
}

/// Serves a connection behind its handshake to its end.
async fn serve_tls(
    tls: Arc<Tls>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    line: Arc<Line>,
    ending: &mut oneshot::Receiver<Duration>,
    idle: Duration,
) {
    let mut handshake = pin!(tls.accept(stream));
    tokio::select! {
        biased;
        stream = &mut handshake => if let Some(stream) = stream {
            carry(stream, peer, router, line, ending, idle).await;
        },
        // When the process stops, a request may be on its way behind the handshake. A connection
        // that must make room has not asked anything yet.
        told = &mut *ending => if line.is_last() && let Some(stream) = handshake.await {
            let (tell, mut ending) = oneshot::channel();
            let _ = tell.send(told.unwrap_or(LEAVING_TIMEOUT));
            carry(stream, peer, router, line, &mut ending, idle).await;
        },
    }
}
