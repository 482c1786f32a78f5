# Ends a server after its users. Arguments: the file its users hold a shared lock on, the note that leads to the server
# (its lock is `<note>.lock`), the server's folder, seconds of grace.
users=$1 note=$2 folder=$3 grace=$4
exec 8>>"$note.lock" 9>>"$users"

while :; do
    flock 9
    flock -u 9
    sleep "$grace"
    # With the note's lock nobody can come in between the look and the end.
    flock 8
    flock -n 9 && break
    flock -u 8
done
# The note may lead to a newer server by now.
if [ "$(head -n 1 "$note" 2>/dev/null)" = "$folder" ]; then rm -f "$note"; fi
flock -u 8
flock -u 9

pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null)
# The number may be somebody else's by now: a server works in its data folder.
ours() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$folder/data" ]; }
if ours; then
    # It may be frozen. QUIT is the immediate shutdown.
    kill -CONT "$pid" && kill -QUIT "$pid"
    tries=0
    while ours && [ "$tries" -lt 80 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    if ours; then kill -KILL "$pid"; fi
fi
rm -rf "$folder"
