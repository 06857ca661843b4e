//! Sites with addresses of their own, and hosts of every kind.

use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate};

fn text(client: &mut Client, host: &str) -> String {
    client.get(host, "/").text()
}

#[test]
fn an_address_with_sites_of_its_own_asks_only_those_and_the_first_is_its_default() {
    let (one, two, tls) = (free_addr(), free_addr(), free_addr());
    let hubgate = Hubgate::start(&format!(
        "[site.a]\nhosts = [\"a.test\", '~^u-(?<user>[a-z]+)\\.test$']\nlisten = [\"{one}\"]\ncertificate = \"none\"\n\
         [[site.a.route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"a $user\" }}\n\
         [site.b]\nhosts = [\"a.test\", \"**.b.test\"]\nlisten = [\"{two}\", {{ address = \"{tls}\", tls = true }}]\n\
         certificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.b.route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"b $server_name $scheme\" }}\n\
         [site.\"c.test\"]\ncertificate = \"none\"\n\
         [[site.\"c.test\".route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"c\" }}\n"
    ));
    let mut first = Client::plain(one);
    for (host, expected) in [
        ("a.test", "a "),
        ("u-ann.test", "a ann"),
        ("x.b.test", "a "),
        ("c.test", "a "),
    ] {
        assert_eq!(text(&mut first, host), expected, "{host}");
    }
    let mut second = Client::plain(two);
    for host in ["a.test", "x.y.b.test", "c.test"] {
        assert_eq!(text(&mut second, host), "b b http", "{host}");
    }
    assert_eq!(
        text(&mut Client::tls(tls, "x.y.b.test"), "x.y.b.test"),
        "b b https"
    );
    let mut shared = hubgate.plain();
    assert_eq!(shared.get("a.test", "/").status, 421);
    assert_eq!(text(&mut shared, "c.test"), "c");
}

#[test]
fn a_request_without_a_host_reaches_the_default_of_an_address_of_its_own_only() {
    let own = free_addr();
    let hubgate = Hubgate::start(&format!(
        "[site.a]\nhosts = []\nlisten = [\"{own}\"]\ncertificate = \"none\"\n\
         [[site.a.route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"[$host]\" }}\n\
         [site.\"c.test\"]\ndefault = true\ncertificate = \"none\"\n\
         [[site.\"c.test\".route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"c\" }}\n"
    ));
    let nameless = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(Client::plain(own).exchange(nameless).text(), "[]");
    let refused = hubgate.plain().exchange(nameless);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.head.one("x-hubgate-cause"), "host_missing");
}
