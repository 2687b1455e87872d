//! The document as one HTML page, which needs no script and no other host.
//!
//! Owns how the document looks to people. It reads the document itself, so the page says nothing
//! that the document does not say. Must not know how the document is made, or where it is served.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use html::{HtmlPage, array, escaped, members, shown, text};

mod html;

/// The style of the page. The policy of the page admits this text and no other style.
const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1,h2,h3{line-height:1.2}h2{border-bottom:1px solid #ccc;margin-top:3rem}h3{margin-top:2.5rem}\
code{font:0.9em ui-monospace,monospace;background:#f3f3f3;padding:0 .2em}a{color:#0550ae}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border:1px solid #ddd}\
.method{font-weight:bold;text-transform:uppercase}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}code{background:#2a2a2a}a{color:#79b8ff}th,td,h2{border-color:#444}}";

/// The methods of a path, in the order of the page.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page's `Content-Security-Policy`: its own style, and nothing else.
pub(crate) fn content_security_policy() -> String {
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// The page of this document.
pub(crate) fn write(document: &Value) -> String {
    let mut page = HtmlPage(String::with_capacity(256 * 1_024));
    page.write(document);
    page.0
}

impl HtmlPage {
    fn write(&mut self, document: &Value) {
        let info = &document["info"];
        let title = format!("{} {}", text(&info["title"]), text(&info["version"]));
        self.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        self.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        self.element("title", &title);
        self.raw(&format!("<style>{STYLE}</style></head><body>\n"));
        self.element("h1", &title);
        self.prose(text(&info["description"]));
        let operations = operations(document);
        self.raw("<nav>");
        for tag in array(&document["tags"]) {
            let of_tag = of_tag(&operations, text(&tag["name"]));
            if of_tag.is_empty() {
                continue;
            }
            self.element("h2", text(&tag["name"]));
            self.prose(text(&tag["description"]));
            self.raw("<ul>");
            for operation in of_tag {
                let id = escaped(text(&operation.says["operationId"]));
                self.raw(&format!("<li><a href=\"#{id}\">"));
                self.text(text(&operation.says["summary"]));
                self.raw("</a> ");
                self.address(operation);
                self.raw("</li>\n");
            }
            self.raw("</ul>");
        }
        self.raw("</nav>\n<main>");
        for tag in array(&document["tags"]) {
            for operation in of_tag(&operations, text(&tag["name"])) {
                self.operation(operation);
            }
        }
        self.element("h2", "Schemas");
        for (name, schema) in members(&document["components"]["schemas"]) {
            self.raw(&format!("<section id=\"schema-{}\">", escaped(name)));
            self.element("h3", name);
            self.prose(text(&schema["description"]));
            self.members(schema);
            self.raw("</section>\n");
        }
        self.raw("</main></body></html>\n");
    }

    fn operation(&mut self, operation: &ShownOperation<'_>) {
        let says = operation.says;
        self.raw(&format!(
            "<section id=\"{}\">",
            escaped(text(&says["operationId"]))
        ));
        self.element("h3", text(&says["summary"]));
        self.raw("<p>");
        self.address(operation);
        self.raw("</p>");
        self.prose(text(&says["description"]));
        self.raw("<p>Proved by: ");
        self.text(&proofs(&says["security"]));
        self.raw("</p>");
        if let Some(parameters) = says["parameters"].as_array() {
            self.element("h4", "Parameters");
            self.raw("<table><tr><th>name</th><th>in</th><th>type</th><th>meaning</th></tr>");
            for parameter in parameters {
                self.raw("<tr><td>");
                self.code(text(&parameter["name"]));
                self.required(parameter["required"] == true);
                self.raw("</td><td>");
                self.text(text(&parameter["in"]));
                self.raw("</td><td>");
                self.kind(&parameter["schema"]);
                self.raw("</td><td>");
                self.inline(text(&parameter["description"]));
                self.raw("</td></tr>\n");
            }
            self.raw("</table>");
        }
        if let Some(contents) = says["requestBody"]["content"].as_object() {
            self.element("h4", "Body");
            let types: Vec<&str> = contents.keys().map(String::as_str).collect();
            self.element("p", &types.join(" or "));
            if let Some(content) = contents.values().next() {
                self.raw("<p>");
                self.kind(&content["schema"]);
                self.raw("</p>");
                self.members(&content["schema"]);
            }
        }
        self.element("h4", "Replies");
        self.raw("<table><tr><th>status</th><th>meaning</th><th>body</th></tr>");
        for (status, reply) in members(&says["responses"]) {
            self.raw("<tr><td>");
            self.code(status);
            self.raw("</td><td>");
            self.inline(text(&reply["description"]));
            for (name, header) in members(&reply["headers"]) {
                self.raw("<br>");
                self.code(name);
                self.raw(": ");
                self.inline(text(&header["description"]));
            }
            self.raw("</td><td>");
            for (index, (media_type, content)) in members(&reply["content"]).enumerate() {
                self.raw(if index > 0 { "<br>" } else { "" });
                self.kind(&content["schema"]);
                self.raw(" ");
                self.code(media_type);
            }
            self.raw("</td></tr>\n");
        }
        self.raw("</table></section>\n");
    }

    /// The members of an object, as a table.
    fn members(&mut self, schema: &Value) {
        let alternatives = array(&schema["oneOf"]);
        for alternative in alternatives {
            self.prose(text(&alternative["description"]));
            self.members(alternative);
        }
        let Some(all) = schema["properties"].as_object() else {
            return;
        };
        self.raw("<table><tr><th>member</th><th>type</th><th>meaning</th></tr>");
        for (name, member) in all {
            let required = array(&schema["required"]).iter().any(|other| other == name);
            self.raw("<tr><td>");
            self.code(name);
            self.required(required);
            self.raw("</td><td>");
            self.kind(member);
            self.raw("</td><td>");
            self.inline(text(&member["description"]));
            self.raw("</td></tr>\n");
        }
        self.raw("</table>");
    }

    /// The type of a value, in a few words.
    fn kind(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"]
            .as_str()
            .and_then(|path| path.rsplit('/').next())
        {
            let name = escaped(name);
            self.raw(&format!("<a href=\"#schema-{name}\">{name}</a>"));
            return;
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            for (index, alternative) in array(&schema[key]).iter().enumerate() {
                self.raw(if index > 0 { " or " } else { "" });
                self.kind(alternative);
            }
        }
        match &schema["type"] {
            Value::String(kind) if kind == "array" => {
                self.raw("list of ");
                self.kind(&schema["items"]);
            }
            Value::String(kind) => self.text(kind),
            Value::Array(kinds) => {
                let kinds: Vec<&str> = kinds.iter().map(text).collect();
                self.text(&kinds.join(" or "));
            }
            _ => {}
        }
        if let Some(format) = schema["format"].as_str().filter(|f| *f != "int64") {
            self.text(&format!(" ({format})"));
        }
        for (key, words) in [
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("minLength", "length at least"),
            ("maxLength", "length at most"),
            ("maxItems", "items at most"),
            ("default", "by default"),
            ("pattern", "matches"),
        ] {
            if !schema[key].is_null() {
                self.text(&format!(", {words} {}", shown(&schema[key])));
            }
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> = words.iter().map(shown).collect();
            self.text(&format!(": {}", words.join(", ")));
        }
    }

    fn address(&mut self, operation: &ShownOperation<'_>) {
        self.raw(&format!(
            "<code><span class=\"method\">{}</span> {}</code>",
            escaped(operation.method),
            escaped(operation.path)
        ));
    }

    fn required(&mut self, required: bool) {
        self.raw(if required { " (required)" } else { "" });
    }
}

/// An operation of the page.
struct ShownOperation<'d> {
    method: &'d str,
    path: &'d str,
    says: &'d Value,
}

fn operations(document: &Value) -> Vec<ShownOperation<'_>> {
    let paths = members(&document["paths"]);
    paths
        .flat_map(|(path, item)| {
            METHODS.iter().filter_map(move |method| {
                let says = item.get(*method)?;
                Some(ShownOperation { method, path, says })
            })
        })
        .collect()
}

fn of_tag<'o, 'd>(all: &'o [ShownOperation<'d>], tag: &str) -> Vec<&'o ShownOperation<'d>> {
    all.iter()
        .filter(|operation| operation.says["tags"][0] == tag)
        .collect()
}

/// The ways to prove who the caller is, in words.
fn proofs(security: &Value) -> String {
    let ways = array(security).iter().map(|way| {
        let way = members(way).map(|(name, scopes)| {
            let scopes: Vec<&str> = array(scopes).iter().map(text).collect();
            match (name.as_str(), scopes.as_slice()) {
                ("token", []) => "any token of this server".to_owned(),
                ("token", scopes) => format!("a token with {}", scopes.join(" ")),
                _ => "the agent's id and secret in the head".to_owned(),
            }
        });
        let way: Vec<String> = way.collect();
        match way.as_slice() {
            [] => "credentials in the body".to_owned(),
            parts => parts.join(" and "),
        }
    });
    let ways: Vec<String> = ways.collect();
    match ways.as_slice() {
        [] => "nothing, anyone may ask".to_owned(),
        ways => ways.join(", or "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_the_document_becomes_markup() {
        let bad = "<script>\"'&";
        let document = json!({
            "info": { "title": bad, "version": bad, "description": format!("a `{bad}` {bad}") },
            "tags": [{ "name": bad, "description": bad }],
            "paths": { bad: { "get": {
                "operationId": bad, "summary": bad, "tags": [bad],
                "parameters": [{ "name": bad, "in": bad, "schema": { "type": bad, "enum": [bad] } }],
                "responses": { bad: { "description": bad, "content": { bad: { "schema": { "$ref": bad } } } } },
            } } },
            "components": { "schemas": { bad: { "properties": { bad: { "pattern": bad } } } } },
        });
        let page = write(&document);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;&quot;&#39;&amp;"));
    }
}
