//! A browser without JavaScript: cookies, redirects, and the first form of a page.

use std::collections::BTreeMap;

use url::Url;

use super::answer::Answer;

/// Keeps cookies and follows pages until it leaves the server.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    /// `Accept-Language` of every request.
    pub language: String,
}

/// A form as it stands in a page.
#[derive(Debug)]
pub struct Form {
    pub action: Url,
    pub method: String,
    pub fields: Vec<Field>,
}

/// An input, button or the like.
#[derive(Clone, Debug)]
pub struct Field {
    pub kind: String,
    pub name: String,
    pub value: String,
}

impl Browser {
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, cookies: BTreeMap::new(), language: "en".to_owned() }
    }

    pub async fn get(&mut self, url: &Url) -> Answer {
        let request = self.http.get(url.clone());
        self.send(format!("GET {url}"), request).await
    }

    /// Sends a form as a browser does.
    pub async fn submit(&mut self, form: &Form) -> Answer {
        let pairs: Vec<_> = form.fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        let asked = format!("{} {}", form.method, form.action);
        let request = match form.method.as_str() {
            "POST" => self.http.post(form.action.clone()).form(&pairs),
            _ => self.http.get(form.action.clone()).query(&pairs),
        };
        self.send(asked, request).await
    }

    async fn send(&mut self, asked: String, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header("accept", "text/html").header("accept-language", &self.language);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let answer =
            Answer::read(asked.clone(), request.send().await.unwrap_or_else(|error| panic!("{asked}: {error:?}")))
                .await;
        for set in answer.headers.get_all("set-cookie") {
            let pair = set.to_str().expect("a cookie").split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        answer
    }

    /// From `answer` of `at` on: follows redirects within `home`, signs in, picks the first that is offered, agrees, until a
    /// redirect leads elsewhere (returned) or a page remains that asks for nothing more (the answer is returned).
    pub async fn go_on(&mut self, at: Url, answer: Answer, user: &str, password: &str) -> Result<Url, Answer> {
        let home = at.origin();
        let (mut at, mut answer, mut signed_in) = (at, answer, false);
        for _ in 0..8 {
            if (301..=308).contains(&answer.status) {
                let target = at.join(answer.header("location")).expect("a Location");
                if target.origin() != home {
                    return Ok(target);
                }
                answer = self.get(&target).await;
                at = target;
                continue;
            }
            let Some(mut form) = Form::to_send(&at, &answer.text) else { return Err(answer) };
            let asks_password = form.fields.iter().any(|field| field.kind == "password");
            if asks_password && signed_in {
                return Err(answer);
            }
            signed_in |= asks_password;
            form.fill(user, password);
            answer = self.submit(&form).await;
            at = form.action;
        }
        panic!("the pages go round in circles: {}", answer.text);
    }
}

impl Form {
    /// The form in which something is picked, or the first of a page.
    fn to_send(page: &Url, html: &str) -> Option<Self> {
        let mut forms = html.match_indices("<form").filter_map(|(at, _)| Self::first(page, &html[at..]));
        let picks = |form: &Self| form.fields.iter().any(|field| field.name == "choice");
        forms.find(picks).or_else(|| Self::first(page, html))
    }

    /// The first form of a page.
    pub fn first(page: &Url, html: &str) -> Option<Self> {
        let start = html.find("<form")?;
        let html = &html[start..];
        let html = &html[..html.find("</form>")?];
        let mut tags = html.split('<').filter(|tag| !tag.is_empty()).map(attributes);
        let form = tags.next()?;
        let get = |tag: &BTreeMap<String, String>, name: &str| tag.get(name).cloned().unwrap_or_default();
        let fields = tags.filter(|tag| tag.contains_key("name")).map(|tag| Field {
            kind: if tag.contains_key("button") { "submit".to_owned() } else { get(&tag, "type") },
            name: get(&tag, "name"),
            value: get(&tag, "value"),
        });
        let method = form.get("method").map_or_else(|| "GET".to_owned(), |method| method.to_uppercase());
        Some(Self { action: page.join(&get(&form, "action")).ok()?, method, fields: fields.collect() })
    }

    /// Types the name and the password, and presses the first button only.
    pub fn fill(&mut self, user: &str, password: &str) {
        let mut pressed = false;
        self.fields.retain(|field| field.kind != "submit" || !std::mem::replace(&mut pressed, true));
        for field in &mut self.fields {
            match field.kind.as_str() {
                "password" => password.clone_into(&mut field.value),
                "text" | "email" | "" => user.clone_into(&mut field.value),
                _ => {}
            }
        }
    }
}

/// The attributes of one tag (`input name="a" value="b"`), the tag's own name among them.
fn attributes(tag: &str) -> BTreeMap<String, String> {
    let tag = tag.split('>').next().unwrap_or_default();
    let (mut found, mut rest) = (BTreeMap::new(), tag.trim());
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_lowercase();
        rest = rest[end..].trim_start();
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let end = quoted.find('"').unwrap_or(quoted.len());
            value = unescape(&quoted[..end]);
            rest = quoted[end..].strip_prefix('"').unwrap_or_default().trim_start();
        }
        found.insert(name, value);
    }
    found
}

fn unescape(text: &str) -> String {
    [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&#60;", "<"),
        ("&gt;", ">"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
