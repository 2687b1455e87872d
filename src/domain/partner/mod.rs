//! Partners: platforms whose signed tokens prove who an agent is, such as a Kubernetes cluster or
//! GitHub. Owns which rules a partner's record obeys. Must not know how its keys are fetched.
//!
//! Reading order: [`mod@pointer`] (names of claims), [`terms`] and [`source`] (single values), [`preset`]
//! (what is known of platforms), [`record`], [`draft`] (how a record is made and changed), [`federation`]
//! (what an agent trusts of a partner).

pub(crate) mod draft;
pub(crate) mod federation;
pub(crate) mod pointer;
pub(crate) mod preset;
pub(crate) mod record;
pub(crate) mod source;
pub(crate) mod terms;
