//! A request of the management API as an operation gets it: its caller, its input, and what every
//! change is asked with.
//!
//! Must not know how a request is read, or which operations there are.

use std::sync::Arc;

use crate::clock::Clock as _;
use crate::domain::act::{Act, ChangeReason};
use crate::domain::context::RequestContext;
use crate::domain::precondition::Precondition;
use crate::http::accepts::Methods;
use crate::http::incoming::Incoming;
use crate::http::route::Needs;
use crate::http::state::State;
use crate::service::manage::idempotency::KeyedRequest;
use crate::service::manage::request::{ChangeMode, ChangeRequest};
use crate::service::tokens::Caller;

/// What the table says of a route, as far as it matters to a request.
pub(crate) struct EndpointRow {
    /// What the caller's token needs.
    pub needs: Needs,
    /// The methods.
    pub methods: Methods,
    /// The path, as the table writes it.
    pub path: &'static str,
}

impl EndpointRow {
    /// The path of a request with its query. Of several spellings of one path there is one.
    pub(super) fn path_of(&self, incoming: &Incoming) -> String {
        let parts = incoming.path_parts.iter().flatten();
        let path = parts.fold(self.path.to_owned(), |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), value)
        });
        if incoming.query.is_empty() {
            path
        } else {
            format!("{path}?{}", incoming.query)
        }
    }
}

/// A request whose caller is authorized.
pub(crate) struct Call<I> {
    /// The caller that the token names. The scope that the route requires has been checked.
    pub caller: Caller,
    /// The request's input.
    pub input: I,
    /// Where the request came from, and its id.
    pub context: Arc<RequestContext>,
}

/// A request to change something, whose caller is authorized.
pub(crate) struct WriteCall<I> {
    /// The caller that the token names. The scope that the route requires has been checked.
    pub caller: Caller,
    /// The request's input.
    pub input: I,
    /// Where the request came from, and its id.
    pub(super) context: Arc<RequestContext>,
    /// What the request demands of the version that it changes.
    pub(super) precondition: Precondition,
    /// Whether the change is made or only tried.
    pub(super) mode: ChangeMode,
    /// The request under its idempotency key, if it has one and is not only tried.
    pub(super) keyed: Option<KeyedRequest>,
}

impl<I> WriteCall<I> {
    /// The request under its idempotency key.
    pub(super) fn keyed(&self) -> Option<&KeyedRequest> {
        self.keyed.as_ref()
    }

    /// The input, and the call without it.
    pub(super) fn split(self) -> (I, WriteCall<()>) {
        let rest = WriteCall {
            caller: self.caller,
            input: (),
            context: self.context,
            precondition: self.precondition,
            mode: self.mode,
            keyed: self.keyed,
        };
        (self.input, rest)
    }

    /// The act of the caller, for the event of the change.
    pub(super) fn act(&self, state: &State, reason: Option<&ChangeReason>) -> Act {
        let agent_id = self.caller.agent_id().clone();
        // The credential is unknown: a Bearer token does not tell which one it was issued for.
        Act::of_request(&self.context, agent_id, None, state.clock.moment())
            .because(reason.cloned())
    }

    /// The change as a service takes it.
    pub(super) fn request<'a>(&'a self, act: &'a Act) -> ChangeRequest<'a> {
        ChangeRequest {
            act,
            caller: Some(&self.caller),
            precondition: Some(&self.precondition),
            mode: self.mode,
        }
    }
}
