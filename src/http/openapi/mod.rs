//! The OpenAPI document: what every route takes and answers, for programs that make clients.
//!
//! Owns how a route is described, and how the descriptions become one document. Must not know which
//! routes there are, or how a handler does its work. Reading order: [`route_doc`] (the description
//! of one route), [`schema`] (short ways to write a schema), `parameters` (what each parameter of
//! the management API means), `errors`, `document` (all of it as one text), `merged`, `served`, `pages` (as people read it), then the descriptions
//! that are written by hand: [`token`], [`protocol`] and [`public`] with `feed`.

pub(crate) mod document;
pub(crate) mod errors;
mod feed;
mod merged;
pub(crate) mod pages;
pub(crate) mod parameters;
pub(crate) mod protocol;
pub(crate) mod public;
pub(crate) mod route_doc;
pub(crate) mod schema;
pub(crate) mod served;
pub(crate) mod token;
