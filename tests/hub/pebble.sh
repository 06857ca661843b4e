# shellcheck shell=bash
# A private certificate authority for a test: Pebble and its DNS server on free loopback ports. Sourced, not run.
# Needs ../processes.sh and PIDS, LOGS.

# start_pebble FOLDER HTTP_PORT   Pebble asks for challenges at HTTP_PORT; every name is 127.0.0.1.
# Leaves PEBBLE (its port), and in FOLDER ca.pem (what its own https is signed by) and roots.pem (what it issues under).
start_pebble() {
    local dir=$1 http=$2 dns dns_admin admin unused
    mkdir -p "$dir"
    read -r PEBBLE admin dns dns_admin unused <<< "$(free_ports 5)"
    (
        cd "$dir"
        curve=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
        openssl req -x509 "${curve[@]}" -days 30 -subj /CN=pebble-test-ca -keyout ca.key -out ca.pem \
            -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign'
        openssl req "${curve[@]}" -subj /CN=localhost -keyout pebble.key -out pebble.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n' > ext.cnf
        openssl x509 -req -in pebble.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext.cnf -out pebble.pem
    ) 2> "$LOGS/openssl.log" || { cat "$LOGS/openssl.log" >&2; return 1; }
    cat > "$dir/pebble.json" <<P
{"pebble": {"listenAddress": "127.0.0.1:$PEBBLE", "managementListenAddress": "127.0.0.1:$admin",
  "certificate": "$dir/pebble.pem", "privateKey": "$dir/pebble.key", "httpPort": $http, "tlsPort": $unused,
  "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": 7776000}}
P
    start pebble-dns pebble-challtestsrv -dns01 "127.0.0.1:$dns" -management "127.0.0.1:$dns_admin" \
        -http01 '' -https01 '' -tlsalpn01 '' -defaultIPv4 127.0.0.1 -defaultIPv6 ''
    PEBBLE_VA_NOSLEEP=1 start pebble pebble -config "$dir/pebble.json" -dnsserver "127.0.0.1:$dns"
    wait_http "https://127.0.0.1:$PEBBLE/dir" 20
    curl -sf --noproxy '*' --cacert "$dir/ca.pem" "https://127.0.0.1:$admin/roots/0" > "$dir/roots.pem"
}
