//! The `Date` header field of responses. hyper makes its text once for each thread, and renews it
//! from time to time.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Waker};

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

/// Makes the calling thread's first `Date`, with a connection that has already ended. hyper panics
/// if it makes a thread's first `Date` while the clock shows a time before 1970. If the clock is
/// set to such a time later, hyper goes on with the old `Date`. So every thread makes its first
/// `Date` when it starts. The caller ensures that the clock shows a time from 1970 on.
pub(crate) fn make_first_date() {
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let io = TokioIo::new(tokio::io::empty());
    let connection = pin!(http1::Builder::new().serve_connection(io, service));
    // A connection without any bytes ends at its first poll.
    let _ = connection.poll(&mut Context::from_waker(Waker::noop()));
}
