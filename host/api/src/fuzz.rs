//! Promise 14 at the door in: any request at all gets an answer in JSON, and nobody gets past a door without its token.
//! The one verifier of the ERP's hooks is the token in their path; what a carrier signs is verified nowhere yet.

use axum::body::Body;
use axum::http::{Request, header};
use tokio::runtime::Builder;
use wharf_fuzz::Target;
use wharf_store::jobs;

use crate::body::LIMIT;
use crate::testing::House;

/// A request as the bytes tell it: `METHOD PATH`, lines of headers, an empty line, the body. `None` when it is none that
/// HTTP could carry.
fn asked(input: &[u8]) -> Option<Request<Body>> {
    let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let at = line.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&line[..at]).uri(&line[at + 1..]);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..at], line[at + 1..].trim_ascii());
    }
    request.body(Body::from(body.to_vec())).ok()
}

fn text(request: &Request<Body>, name: header::HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[test]
fn p14_odoo_hook() {
    let json = "\ncontent-type: application/json\n\n";
    let seeds = [
        format!("POST /hooks/odoo/nordic/hook-secret{json}{{\"_id\":42}}"),
        format!("POST /hooks/odoo/nordic/hook-secre{json}{{}}"),
        format!("POST /hooks/odoo/silent/hook-secret{json}{{}}"),
        "POST /hooks/odoo/nordic/hook-secret\ncontent-type: text/plain\n\nx=1".to_owned(),
        format!("POST /hooks/odoo/nordic/%68ook-secret{json}{{}}"),
        format!("POST /hooks/odoo/nordic/hook-secret?x=/../{json}[[[["),
        "GET /hooks/odoo/nordic/hook-secret".to_owned(),
        format!("POST /hooks/odoo/nordic/hook-secret\ncontent-length: 65537{json}{{}}"),
    ];
    let words = ["%2F", "%FF", "%00", "/..", "//", "?", "hook-secret", "application/json", "; charset=", "\u{0}"];
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    let house = runtime.block_on(House::new());
    Target::new("odoo_hook").seeds(seeds).words(words).run(|input| {
        let Some(request) = asked(input) else { return (0, "no HTTP".to_owned()) };
        // The path, written in one way: whatever another spelling of the token is, it is not more than the token.
        let known = ["/hooks/odoo/nordic/hook-secret", "/hooks/odoo/nordic/%68ook-secret"];
        let (path, method) = (request.uri().path().to_owned(), request.method().clone());
        let media = text(&request, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
        let answer = runtime.block_on(house.send(request));
        assert!(answer.status < 500, "{} {}", answer.status, answer.code());
        if answer.status == 202 {
            let spelled = known.contains(&path.as_str()) || path.contains('%');
            assert!(method == "POST" && spelled && media.eq_ignore_ascii_case("application/json"), "{method} {path}");
        }
        (answer.status, answer.code().to_owned())
    });
    let counts = runtime.block_on(jobs::counts(&house.db)).expect("counts");
    assert_eq!((counts.ready, counts.total()), (1, 1), "any number of hooks lead to one pull");
}

#[test]
fn p14_admin_requests() {
    let auth = "\nauthorization: Bearer admin-secret\ncontent-type: application/json\n\n";
    let tenant = "/api/v1/tenants/nordic";
    let job = "01890a5d-ac96-774b-bcce-b302099a8057";
    let seeds = [
        format!("GET {tenant}/flows?limit=5&status=open{auth}"),
        format!("GET {tenant}/flows/order/42{auth}"),
        format!("GET {tenant}/effects?state=uncertain&cursor=1{auth}"),
        format!("GET /api/v1/dead-letters?limit=0{auth}"),
        format!("POST {tenant}/jobs/replay{auth}{{\"filter\":{{\"kind\":\"a\",\"limit\":3}},\"dry_run\":true}}"),
        format!("POST {tenant}/jobs/{job}/replay{auth}{{\"payload\":{{}}}}"),
        format!("POST {tenant}/effects/{job}/resolve-happened{auth}{{\"reason\":\"seen\"}}"),
        format!("POST {tenant}/exceptions/{job}/resolve{auth}{{\"action\":\"retry\",\"note\":\"x\"}}"),
        format!("PUT {tenant}/secrets/acme/login{auth}{{\"values\":{{\"username\":\"a\",\"password\":\"b\"}}}}"),
        format!("GET {tenant}/secrets\nauthorization: Bearer admin-secre\n\n"),
        format!("GET {tenant}/jobs/{job}\nauthorization: Basic YWRtaW4tc2VjcmV0\n\n"),
    ];
    let words =
        ["nordic", "silent", "/schedules/x/pause", "/connections", "?limit=", "&", "%00", "%FF", "Bearer ", "null"];
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    let house = runtime.block_on(House::new());
    Target::new("admin_requests").seeds(seeds).words(words).longest(LIMIT + 1_000).run(|input| {
        let Some(request) = asked(input) else { return (0, "no HTTP".to_owned()) };
        let admin = text(&request, header::AUTHORIZATION)
            .split_once(' ')
            .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token.trim() == "admin-secret");
        let inside = request.uri().path().starts_with("/api/");
        let answer = runtime.block_on(house.send(request));
        assert!(answer.status < 500, "{} {}", answer.status, answer.code());
        assert!(admin || !inside || answer.status >= 400, "{} without the token", answer.status);
        (answer.status, answer.code().to_owned())
    });
}
