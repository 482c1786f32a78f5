//! Odoo's errors: class name, status and text as recorded, the traceback made up.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::python;

/// An exception on its way out. It undoes the transaction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Raised {
    pub(super) status: u16,
    /// Python's dotted name.
    pub(super) name: &'static str,
    pub(super) message: String,
    /// What an automation rule adds when it is to blame.
    pub(super) context: Value,
    /// For werkzeug's exceptions the arguments have the status as well.
    http: bool,
}

pub(super) const SESSION_EXPIRED: &str = "odoo.http.SessionExpiredException";

pub(super) type Result<T> = std::result::Result<T, Raised>;

impl Raised {
    fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), context: json!({}), http: name.starts_with("werkzeug") }
    }

    pub(super) fn user(message: impl Into<String>) -> Self {
        Self::new(422, "odoo.exceptions.UserError", message)
    }

    /// A constraint; `message` without the opening words of database errors.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(422, "odoo.exceptions.ValidationError", message)
    }

    pub(super) fn database(message: &str) -> Self {
        Self::validation(format!("The operation cannot be completed: {message}"))
    }

    pub(super) fn access(message: impl Into<String>) -> Self {
        Self::new(403, "odoo.exceptions.AccessError", message)
    }

    /// A wrong login or password.
    pub(super) fn denied() -> Self {
        Self::new(403, "odoo.exceptions.AccessDenied", "Access Denied")
    }

    pub(super) fn session_expired() -> Self {
        Self::new(403, SESSION_EXPIRED, "Session expired")
    }

    pub(super) fn missing(model: &str, ids: &[i64], uid: i64) -> Self {
        let inside = match ids {
            [one] => format!("{one},"),
            many => many.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
        };
        let message = format!("Record does not exist or has been deleted.\n(Record: {model}({inside}), User: {uid})");
        Self::new(404, "odoo.exceptions.MissingError", message)
    }

    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new(500, "builtins.ValueError", message)
    }

    pub(super) fn key(name: &str) -> Self {
        Self::new(500, "builtins.KeyError", name)
    }

    pub(super) fn python_type(message: impl Into<String>) -> Self {
        Self::new(500, "builtins.TypeError", message)
    }

    pub(super) fn zero_division() -> Self {
        Self::new(500, "builtins.ZeroDivisionError", "division by zero")
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "werkzeug.exceptions.UnprocessableEntity", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "werkzeug.exceptions.NotFound", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "werkzeug.exceptions.BadRequest", message)
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            413,
            "werkzeug.exceptions.RequestEntityTooLarge",
            "The data value transmitted exceeds the capacity limit.",
        )
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(401, "werkzeug.exceptions.Unauthorized", message)
    }

    /// The rule that ran when it went wrong. Only the innermost names itself.
    pub(super) fn in_rule(mut self, id: i64, name: &str) -> Self {
        if self.context == json!({}) {
            let rule = json!({ "id": id, "name": name });
            self.context = json!({ "exception_class": "base_automation", "base_automation": rule });
        }
        self
    }

    /// The body of JSON-2 and, as `data`, of the web client's calls.
    pub(super) fn body(&self) -> Value {
        let arguments = if self.http { json!([self.message, self.status]) } else { json!([self.message]) };
        let class = self.name.rsplit('.').next().unwrap_or(self.name);
        let debug =
            format!("Traceback (most recent call last):\n  File \"twin\", line 1, in call\n{class}: {}", self.message);
        json!({
            "name": self.name,
            "message": self.message,
            "arguments": arguments,
            "context": self.context,
            "debug": debug,
        })
    }

    pub(super) fn response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(status, &self.body());
        if self.status == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer "));
        }
        response
    }
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    dressed(status, "application/json; charset=utf-8", Body::from(python::dumps(body)))
}

/// The errors that come before the API: HTML.
pub(super) fn page(status: StatusCode, text: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let body =
        format!("<!doctype html>\n<html lang=en>\n<title>{code} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n");
    dressed(status, "text/html; charset=utf-8", Body::from(body))
}

/// Odoo's own server closes every connection.
pub(super) fn dressed(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("Werkzeug/3.1.3 Python/3.13.5"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_the_status_only_where_werkzeug_raises() {
        assert_eq!(Raised::key("nope").body()["arguments"], json!(["nope"]));
        assert_eq!(Raised::unprocessable("no").body()["arguments"], json!(["no", 422]));
    }

    #[test]
    fn a_missing_record_is_named_as_python_writes_a_tuple() {
        assert!(Raised::missing("res.partner", &[9], 2).message.ends_with("(Record: res.partner(9,), User: 2)"));
        assert!(Raised::missing("res.partner", &[9, 8], 2).message.contains("res.partner(9, 8), User"));
    }

    #[test]
    fn the_innermost_rule_takes_the_blame() {
        let raised = Raised::user("no").in_rule(1, "inner").in_rule(2, "outer");
        assert_eq!(raised.context["base_automation"]["name"], "inner");
    }
}
