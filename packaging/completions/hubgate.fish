# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hubgate_global_optspecs
    string join \n h/help V/version
end

function __fish_hubgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_hubgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_hubgate_using_subcommand
    set -l cmd (__fish_hubgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hubgate -n "__fish_hubgate_needs_command" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_needs_command" -s V -l version -d 'Print version'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "run" -d 'Serve, in the foreground'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "check" -d 'Say everything that is wrong with a configuration'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "reload" -d 'Have the running hubgate read its configuration again, all or nothing'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "upgrade" -d 'Have another program take over from the running hubgate without losing a connection: a new version, or an old one'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "status" -d 'Show what the running hubgate does'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "why" -d 'Say what happened to a request and what to do about it'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "doctor" -d 'Look at every endpoint of the configuration from here: connect, TLS and HTTP, with times; needs no running hubgate'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "causes" -d 'List every cause that answers and logs name: what it means and what to do'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "upstream" -d 'Look after endpoints: list them, take one out of service, take it back'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "import" -d 'Turn another server\'s configuration into hubgate\'s, and say what becomes of every line'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "compare" -d 'Find out whether hubgate answers as the server does whose configuration it was given'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "certs" -d 'Look after certificates'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "demo" -d 'Show hubgate in front of a stand-in hub, on this machine only'
complete -c hubgate -n "__fish_hubgate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -s c -l config -d 'The configuration file' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -l nginx -d 'Serve what this nginx configuration says, imported anew by each reload' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -l at -d 'Listen elsewhere than nginx does, to run beside it: 80=8080, or 127.0.0.1:80=127.0.0.1:8080; may be given several times' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -l tls-key-log -d 'Write the secrets of all TLS connections of clients to FILE, for Wireshark: whoever has it reads them' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -l successor -d 'Started by the running hubgate at an upgrade'
complete -c hubgate -n "__fish_hubgate_using_subcommand run" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand check" -s c -l config -d 'The configuration file' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand check" -l explain -d 'Print the configuration with every default and preset filled in'
complete -c hubgate -n "__fish_hubgate_using_subcommand check" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand reload" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand reload" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand reload" -l plan -d 'Only print what would change'
complete -c hubgate -n "__fish_hubgate_using_subcommand reload" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upgrade" -l program -d 'The program [default: the file that the running hubgate was started from]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upgrade" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upgrade" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upgrade" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand status" -l open -d 'Show the N oldest open connections: for whom each is, and what it waits for' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand status" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand status" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand status" -l json -d 'Print the answer as JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand status" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand why" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand why" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand why" -l json -d 'Print the answer as JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand why" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand doctor" -s c -l config -d 'The configuration file' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand doctor" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand causes" -l json -d 'Print them as JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand causes" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "list" -d 'List endpoints: state, requests in flight, why one is left out'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "drain" -d 'Give an endpoint no further requests but those of sessions that stick to it'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "undrain" -d 'Take `drain` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "disable" -d 'Give an endpoint no further requests at all'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "enable" -d 'Take `disable` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and not __fish_seen_subcommand_from list drain undrain disable enable help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from list" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from drain" -l upstream -d 'Only in this upstream [default: in all that have it]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from drain" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from drain" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from undrain" -l upstream -d 'Only in this upstream [default: in all that have it]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from undrain" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from undrain" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from undrain" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from disable" -l upstream -d 'Only in this upstream [default: in all that have it]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from disable" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from disable" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from enable" -l upstream -d 'Only in this upstream [default: in all that have it]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from enable" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from enable" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "list" -d 'List endpoints: state, requests in flight, why one is left out'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "drain" -d 'Give an endpoint no further requests but those of sessions that stick to it'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "undrain" -d 'Take `drain` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Give an endpoint no further requests at all'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Take `disable` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand upstream; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and not __fish_seen_subcommand_from nginx help" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and not __fish_seen_subcommand_from nginx help" -f -a "nginx" -d 'nginx\'s configuration: every directive is carried over, not needed or reported as lost'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and not __fish_seen_subcommand_from nginx help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and __fish_seen_subcommand_from nginx" -s o -l output -d 'Write the configuration here rather than to standard output' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and __fish_seen_subcommand_from nginx" -l at -d 'Listen elsewhere than nginx does, to run beside it: 80=8080, or 127.0.0.1:80=127.0.0.1:8080; may be given several times' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and __fish_seen_subcommand_from nginx" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "nginx" -d 'nginx\'s configuration: every directive is carried over, not needed or reported as lost'
complete -c hubgate -n "__fish_hubgate_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and not __fish_seen_subcommand_from nginx help" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and not __fish_seen_subcommand_from nginx help" -f -a "nginx" -d 'The running nginx: the same requests to both, one after the other'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and not __fish_seen_subcommand_from nginx help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from nginx" -l at -d 'Where nginx listens, and where hubgate does for the same: 127.0.0.1:80=127.0.0.1:8080, or 80=8080 on this machine; may be given several times' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from nginx" -l requests -d 'Ask what this access log (combined, or JSON lines) holds: GET, HEAD and OPTIONS' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from nginx" -l count -d 'How many requests to make from the configuration' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from nginx" -l post -d 'Ask with POST, too: upstreams may take that for more than a question'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from nginx" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from help" -f -a "nginx" -d 'The running nginx: the same requests to both, one after the other'
complete -c hubgate -n "__fish_hubgate_using_subcommand compare; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "list" -d 'List the certificates being served, soonest end first'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "show" -d 'Show everything known of one host\'s certificate'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "import" -d 'Take over certificates that something else has ordered, for the sites with `certificate = "acme"`'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "renew" -d 'Order other certificates now, and wait for them'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "revoke" -d 'Revoke the certificate being served, because its key may be known, and order another'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "rollover" -d 'Give the account at the authority another key, because the one it has may be known; certificates stay as they are'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "doctor" -d 'Find out why a certificate does not come; changes nothing'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and not __fish_seen_subcommand_from list show import renew revoke rollover doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from list" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from show" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -l chain -d 'One certificate with its intermediates, PEM' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -l key -d 'Its private key, PEM' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -s c -l config -d 'The configuration file' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -l plan -d 'Only say what would be taken over'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -l due -d 'Every certificate that is missing or whose time has come, without waiting as long as after a failure'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -l force -d 'Even when the authority\'s limit of the week is near'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -l staging -l dry-run -d 'Order at the authority\'s staging directory and keep nothing of it'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from revoke" -l reason -d 'RFC 5280\'s number: 0 unspecified, 1 key compromise, 4 superseded, 5 no longer operated' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from revoke" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from revoke" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from rollover" -l ca -d 'Only at this authority, by its `name`, and at its staging directory [default: at every one]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from rollover" -l socket -d 'The admin socket [default: as the configuration file says]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from rollover" -s c -l config -d 'The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from rollover" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -l resolver -d 'The name server to ask [default: the system\'s first]' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -l port -d 'The port where authorities ask for challenges' -r
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -s c -l config -d 'The configuration file' -r -F
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -l json -d 'Print JSON'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -l dry-run -d 'Order at the authority\'s staging directory as well, and keep nothing of it'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from doctor" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the certificates being served, soonest end first'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show everything known of one host\'s certificate'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "import" -d 'Take over certificates that something else has ordered, for the sites with `certificate = "acme"`'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Order other certificates now, and wait for them'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke the certificate being served, because its key may be known, and order another'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "rollover" -d 'Give the account at the authority another key, because the one it has may be known; certificates stay as they are'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "doctor" -d 'Find out why a certificate does not come; changes nothing'
complete -c hubgate -n "__fish_hubgate_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand demo" -s h -l help -d 'Print help'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "run" -d 'Serve, in the foreground'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "check" -d 'Say everything that is wrong with a configuration'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "reload" -d 'Have the running hubgate read its configuration again, all or nothing'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "upgrade" -d 'Have another program take over from the running hubgate without losing a connection: a new version, or an old one'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "status" -d 'Show what the running hubgate does'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "why" -d 'Say what happened to a request and what to do about it'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "doctor" -d 'Look at every endpoint of the configuration from here: connect, TLS and HTTP, with times; needs no running hubgate'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "causes" -d 'List every cause that answers and logs name: what it means and what to do'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "upstream" -d 'Look after endpoints: list them, take one out of service, take it back'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "import" -d 'Turn another server\'s configuration into hubgate\'s, and say what becomes of every line'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "compare" -d 'Find out whether hubgate answers as the server does whose configuration it was given'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "certs" -d 'Look after certificates'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "demo" -d 'Show hubgate in front of a stand-in hub, on this machine only'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and not __fish_seen_subcommand_from run check reload upgrade status why doctor causes upstream import compare certs demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from upstream" -f -a "list" -d 'List endpoints: state, requests in flight, why one is left out'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from upstream" -f -a "drain" -d 'Give an endpoint no further requests but those of sessions that stick to it'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from upstream" -f -a "undrain" -d 'Take `drain` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from upstream" -f -a "disable" -d 'Give an endpoint no further requests at all'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from upstream" -f -a "enable" -d 'Take `disable` back'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "nginx" -d 'nginx\'s configuration: every directive is carried over, not needed or reported as lost'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from compare" -f -a "nginx" -d 'The running nginx: the same requests to both, one after the other'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "list" -d 'List the certificates being served, soonest end first'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "show" -d 'Show everything known of one host\'s certificate'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "import" -d 'Take over certificates that something else has ordered, for the sites with `certificate = "acme"`'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "renew" -d 'Order other certificates now, and wait for them'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "revoke" -d 'Revoke the certificate being served, because its key may be known, and order another'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "rollover" -d 'Give the account at the authority another key, because the one it has may be known; certificates stay as they are'
complete -c hubgate -n "__fish_hubgate_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "doctor" -d 'Find out why a certificate does not come; changes nothing'
