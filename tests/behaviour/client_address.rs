//! Who a request's client is where sites and routes say from which field to take it: answered by nginx and by hubgate
//! with the same file, and compared.

use std::fs;
use std::path::Path;

use crate::support::hubgate::HOST;
use crate::support::nginx::assert_alike;

fn tree(dir: &Path) {
    fs::create_dir(dir.join("www")).unwrap();
    fs::write(dir.join("www/file"), "file").unwrap();
}

const BLOCK: &str = "
    set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.1.0/24; set_real_ip_from unix:;
    server { listen @LISTEN@; root www; default_type text/plain;
        add_header X-Who \"$remote_addr $realip_remote_addr\" always;
        location / { rewrite ^ /file break; }
        location /cdn { real_ip_header CF-Connecting-IP; rewrite ^ /file break; }
        location /last { real_ip_header X-Forwarded-For; rewrite ^ /file break; }
        location /past { real_ip_header X-Forwarded-For; real_ip_recursive on; rewrite ^ /file break; }
        location /not { real_ip_header X-Forwarded-For; deny 192.0.2.1; rewrite ^ /file break; }
        location /other { set_real_ip_from 192.0.2.0/24; rewrite ^ /file break; } }";

#[test]
fn the_client_is_who_the_field_of_its_route_says() {
    let said = [
        "",
        "X-Real-IP: 192.0.2.1",
        "X-Real-IP: 192.0.2.1:80",
        "X-Real-IP: [2001:db8::1]:80",
        "X-Real-IP: 2001:db8::1",
        "X-Real-IP: who",
        "CF-Connecting-IP: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 10.0.0.1, 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1, 10.0.1.1, 127.0.0.1",
        "X-Forwarded-For: who, 10.0.1.1",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 127.0.0.1, 10.0.1.1",
        "X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.2",
    ];
    let routes = ["/", "/cdn", "/last", "/past", "/not", "/other"];
    let requests: Vec<_> = routes
        .iter()
        .flat_map(|route| said.map(|said| format!("{route}|{said}")))
        .collect();
    assert_alike((BLOCK, tree), &requests, |client, request| {
        let (target, said) = request.split_once('|').unwrap();
        let said = match said {
            "" => String::new(),
            said => format!("{said}\r\n"),
        };
        let answer = client.exchange(format!(
            "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{said}\r\n"
        ));
        format!("{} {:?}", answer.status, answer.head.all("x-who"))
    });
}
