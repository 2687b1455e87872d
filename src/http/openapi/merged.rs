//! Schemas that are put together of several objects, as one object each. Generators of clients lose
//! that a member may be `null` if it comes from a part of an `allOf`.
//!
//! Must not know what is described.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AllOf, Object, ObjectBuilder, Schema, Type};

/// The schemas by their names.
type Named = BTreeMap<String, RefOr<Schema>>;

/// Writes each `allOf` of objects as one object.
pub(super) fn merge_all(schemas: &mut Named) {
    let parts = schemas.clone();
    for schema in schemas.values_mut() {
        if let RefOr::T(Schema::AllOf(all)) = schema
            && let Some(object) = merge(all, &parts)
        {
            *schema = object.into();
        }
    }
}

/// One object with the members of all parts; `None` if a part is no object.
fn merge(all: &AllOf, named: &Named) -> Option<Object> {
    let mut merged = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(all.description.as_deref())
        .build();
    for part in &all.items {
        let object = match part {
            RefOr::Ref(reference) => named.get(reference.ref_location.rsplit('/').next()?)?,
            object @ RefOr::T(_) => object,
        };
        let RefOr::T(Schema::Object(object)) = object else {
            return None;
        };
        merged.properties.extend(object.properties.clone());
        merged.required.extend(object.required.iter().cloned());
    }
    Some(merged)
}
