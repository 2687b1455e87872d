//! A page of HTML that is being written, and short ways to read a JSON document.
//!
//! Must not know what the page shows. Only [`HtmlPage::raw`] writes text as markup.

use std::fmt::Write as _;

use serde_json::Value;

/// A page that is being written.
pub(super) struct HtmlPage(pub(super) String);

impl HtmlPage {
    /// Paragraphs in which words between backticks are code.
    pub(super) fn prose(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|text| !text.is_empty()) {
            self.raw("<p>");
            self.inline(paragraph);
            self.raw("</p>");
        }
    }

    /// Text in which words between backticks are code.
    pub(super) fn inline(&mut self, text: &str) {
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                self.code(part);
            } else {
                self.text(part);
            }
        }
    }

    /// A word of code.
    pub(super) fn code(&mut self, text: &str) {
        self.element("code", text);
    }

    /// An element that holds this text.
    pub(super) fn element(&mut self, name: &str, text: &str) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "<{name}>{}</{name}>", escaped(text));
    }

    /// Text.
    pub(super) fn text(&mut self, text: &str) {
        self.0.push_str(&escaped(text));
    }

    /// Adds text that is HTML already.
    pub(super) fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }
}

/// The text, or an empty one if the value is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items; none if the value is no list.
pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The members; none if the value is no object.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The value in a sentence: a text without its quotes.
pub(super) fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The text as HTML shows it, in elements and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}
