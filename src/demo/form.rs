//! Reads the one form of a plain HTML page, as a browser would before it submits it.
//!
//! The run without a person signs in through the public login page. This reads pages of this server, not any page of the web:
//! tags as the templates write them, attribute values in quotes, character references in numbers or the five names of XML.

use anyhow::{Context as _, Result, bail};

/// A form: where it goes and its controls.
#[derive(Debug, Default)]
pub struct HtmlForm {
    /// `action`, as written; empty means the page's own address.
    pub action: String,
    controls: Vec<Control>,
}

#[derive(Debug)]
struct Control {
    name: String,
    kind: String,
    value: String,
    checked: bool,
}

impl HtmlForm {
    /// The first form of a page.
    pub fn find(html: &str) -> Result<Self> {
        let start = html.find("<form").context("the page has no form")?;
        let end = html[start..].find("</form>").context("a form without end")? + start;
        let mut tags = html[start..end].split('<').skip(1);
        let head = tags.next().unwrap_or_default();
        if !attribute(head, "method").unwrap_or_default().eq_ignore_ascii_case("post") {
            bail!("the form is not sent by POST");
        }
        let action = attribute(head, "action").unwrap_or_default();
        let controls = tags.filter_map(Control::read).collect();
        Ok(Self { action, controls })
    }

    /// Whether a password is asked for.
    pub fn asks_for_a_password(&self) -> bool {
        self.controls.iter().any(|control| control.kind == "password")
    }

    /// What is sent when a person types name and password and presses the first button.
    pub fn filled(&self, user: &str, password: &str) -> Vec<(String, String)> {
        let mut pressed = false;
        let mut sent = Vec::new();
        for control in &self.controls {
            let value = match control.kind.as_str() {
                "text" | "email" => user,
                "password" => password,
                "checkbox" | "radio" if !control.checked => continue,
                "submit" if std::mem::replace(&mut pressed, true) => continue,
                _ => &control.value,
            };
            if !control.name.is_empty() {
                sent.push((control.name.clone(), value.to_owned()));
            }
        }
        sent
    }
}

impl Control {
    fn read(tag: &str) -> Option<Self> {
        let element = tag.split(|c: char| c.is_whitespace() || c == '>').next()?;
        let default_kind = match element {
            "input" => "text",
            "button" => "submit",
            _ => return None,
        };
        Some(Self {
            name: attribute(tag, "name").unwrap_or_default(),
            kind: attribute(tag, "type").unwrap_or_else(|| default_kind.to_owned()),
            value: attribute(tag, "value").unwrap_or_default(),
            checked: tag.split(['>', ' ', '\n']).any(|word| word == "checked"),
        })
    }
}

/// The value of an attribute in quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let mut from = 0;
    while let Some(found) = tag[from..].find(name) {
        let at = from + found;
        from = at + name.len();
        let begins_a_word = tag[..at].ends_with(char::is_whitespace);
        if let Some(rest) = tag[from..].strip_prefix("=\"")
            && begins_a_word
        {
            return Some(unescape(rest.split('"').next()?));
        }
    }
    None
}

/// Resolves character references.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';') else { break };
        let character = match &rest[1..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            number => number
                .strip_prefix("#x")
                .map_or_else(|| number.strip_prefix('#').map(str::parse), |hex| Some(u32::from_str_radix(hex, 16)))
                .and_then(Result::ok)
                .and_then(char::from_u32),
        };
        match character {
            Some(character) => {
                plain.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_form_is_read_and_filled() {
        let page = r#"<h1>Sign in</h1><form method="post" action="/login?a=1&amp;b=2">
            <input type="hidden" name="csrf" value="x&#34;y&#x27;&quot;&amp;lt;">
            <label>Name <input name="username" autofocus></label>
            <input type="password" name="password" required>
            <input type="checkbox" name="stay" value="yes"><input type="checkbox" name="scope" value="a" checked>
            <button name="do" value="allow">Sign in</button><button name="do" value="deny">Cancel</button></form>"#;
        let form = HtmlForm::find(page).unwrap();
        assert_eq!(form.action, "/login?a=1&b=2");
        assert!(form.asks_for_a_password());
        let sent = form.filled("julie", "secret");
        let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let wanted =
            [("csrf", "x\"y'\"&lt;"), ("username", "julie"), ("password", "secret"), ("scope", "a"), ("do", "allow")];
        assert_eq!(sent, wanted);
    }

    #[test]
    fn a_page_without_a_form_is_said_to_have_none() {
        assert!(HtmlForm::find("<p>You may not</p>").is_err());
    }
}
