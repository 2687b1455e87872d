//! The `Date` of answers, which hyper makes once for each thread and then from time to time.

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

/// Makes the calling thread's first `Date`, by way of a connection that is at its end. hyper panics when it
/// makes the first `Date` of a thread while the clock shows a time before 1970, and goes on with the old
/// `Date` when the clock is set to such a time later. So every thread makes its first one as it starts.
/// The caller demands that the clock shows a later time.
pub(crate) fn make_first_date() {
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let io = TokioIo::new(tokio::io::empty());
    let connection = pin!(http1::Builder::new().serve_connection(io, service));
    // An empty connection ends at its first poll.
    let _ = connection.poll(&mut Context::from_waker(Waker::noop()));
}
