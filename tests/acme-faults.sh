#!/usr/bin/env bash
# Runs every test whose name begins with `fault_NN` and prints a table: fault, test, ok. Fails when one fails or a fault
# has no test.
#   tests/acme-faults.sh [FILTER...]   FILTER: a part of the names, `fault_06`; the others then need no test
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# What fails, by its number.
names=(
    [1]='bad nonce' [2]='order stays pending' [3]='order stays processing; answer to finalize lost'
    [4]='challenge fails once' [5]='challenge fails always' [6]='rate limits in all forms'
    [7]='503, 500, reset, TLS error, hang' [8]='directory down at start' [9]='disk full'
    [10]='killed after each step' [11]='clock wrong or jumping' [12]='expired pair on disk'
    [13]='damaged files, open modes' [14]='pair of another key, name, authority' [17]='tokens of others: handed through'
    [18]='account forgotten, deactivated, key changed' [19]='renewal information of all kinds'
    [20]='name or profile refused' [21]='500 hosts at once' [22]='hosts removed and reloads during orders'
)

filter=("$@")
[ $# -gt 0 ] || filter=(fault_0 fault_1 fault_2)
tests=(--lib --test behaviour)
for file in tests/acme*.rs tests/acme*/main.rs; do
    name=${file#tests/}
    name=${name%/main.rs}
    tests+=(--test "${name%.rs}")
done

out=$(mktemp)
trap 'rm -f "$out"' EXIT
start=$SECONDS
${CARGO:-cargo} test --locked --no-fail-fast "${tests[@]}" -- "${filter[@]}" 2>&1 | tee "$out"
status=$?

echo
echo 'fault  test'
for number in "${!names[@]}"; do
    printf '%5s  %s\n' "$number" "${names[$number]}"
    # `test validation::fault_04_a_challenge_fails ... ok`; what runs for over a minute has a second line
    found=$(sed -nE "s/^test ([a-z0-9_:]*::)?fault_0*${number}_([a-z0-9_]+) \.\.\. (ok|FAILED|ignored)$/\3 \2/p" "$out" | sort -u)
    if [ -n "$found" ]; then
        while read -r result name; do printf '       %-7s %s\n' "$result" "${name//_/ }"; done <<< "$found"
    elif [ $# = 0 ]; then
        echo '       MISSING'
        status=1
    fi
done
echo
printf '%s of %s tests ok in %s s\n' "$(grep -cE '^test .*fault_[0-9]+_.* \.\.\. ok$' "$out")" \
    "$(grep -cE '^test .*fault_[0-9]+_.* \.\.\. (ok|FAILED|ignored)$' "$out")" $((SECONDS - start))
exit $status
