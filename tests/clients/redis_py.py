"""The client redis-py, as it is, against a node: one argument, its address."""

import asyncio
import sys
import threading
import time

import redis
import redis.asyncio

HOST, PORT = sys.argv[1].rsplit(":", 1)
ADDRESS = {"host": HOST, "port": int(PORT), "socket_timeout": 20}


def equal(found, expected, what):
    assert found == expected, f"{what}: {found!r} instead of {expected!r}"


def refused(action, says, what):
    try:
        reply = action()
    except redis.ResponseError as error:
        assert says in str(error), f"{what}: {error} instead of {says}"
        return
    raise AssertionError(f"{what}: {reply!r} instead of an error")


def values(client, name):
    key = lambda rest: f"{name}-{rest}"
    equal(client.get(key("a")), None, "GET of nothing")
    equal(client.set(key("a"), "hello"), True, "SET")
    equal(client.get(key("a")), b"hello", "GET")
    equal(client.set(key("a"), "again", get=True), b"hello", "SET with GET")
    equal(client.set(key("new"), "v", get=True), None, "SET with GET of nothing")
    equal(client.strlen(key("a")), 5, "STRLEN")
    equal(client.type(key("a")), b"string", "TYPE")
    equal(client.type(key("nothing")), b"none", "TYPE of nothing")
    every_byte = bytes(range(256)) * 400
    client.set(key("bytes"), every_byte)
    equal(client.get(key("bytes")), every_byte, "bytes come back as they are")
    client.set(key("empty"), "")
    equal(client.get(key("empty")), b"", "an empty value")
    client.set(key("number"), 1.5)
    equal(float(client.get(key("number"))), 1.5, "a number")
    client.set(b"\x00\xff\r\n" + name.encode(), "odd")
    equal(client.get(b"\x00\xff\r\n" + name.encode()), b"odd", "a key of any bytes")
    equal(client.mset({key("x"): 1, key("y"): 2}), True, "MSET")
    equal(client.mget(key("x"), key("z"), key("y")), [b"1", None, b"2"], "MGET")
    equal(client.exists(key("x"), key("y"), key("x"), key("z")), 3, "EXISTS")
    equal(client.delete(key("x"), key("z")), 1, "DEL")
    equal(client.unlink(key("y")), 1, "UNLINK")
    equal(key("y") in client, False, "in")
    client[key("item")] = "v"
    equal(client[key("item")], b"v", "an item")


def scans(client, name):
    key = lambda number: f"{name}-scan-{number}".encode()
    client.mset({key(number): number for number in range(300)})
    client.delete(key(7))
    expected = {key(number) for number in range(300) if number != 7}
    equal(set(client.scan_iter(match=f"{name}-scan-*")), expected, "SCAN with MATCH")
    equal(set(client.scan_iter(match=f"{name}-scan-*", count=1000)), expected, "SCAN with COUNT")
    assert expected <= set(client.scan_iter()), "SCAN"
    equal(list(client.scan_iter(match="nothing-*")), [], "SCAN of nothing")


def about(client, protocol):
    equal(client.ping(), True, "PING")
    equal(client.echo("you"), b"you", "ECHO")
    info = client.info()
    equal(info["redis_mode"], "standalone", "INFO")
    equal(info["role"], "master", "INFO")
    equal(info["tcp_port"], int(PORT), "INFO")
    assert info["db0"]["keys"] >= 1 and info["total_commands_processed"] >= 1, info
    equal(list(client.info("clients")), ["connected_clients"], "INFO clients")
    assert client.dbsize() >= 1, "DBSIZE"
    count = client.command_count()
    equal(len(client.command_list()), count, "COMMAND LIST")
    commands = client.command()
    equal(len(commands), count, "COMMAND")
    equal(commands["mset"]["step_count"], 2, "COMMAND")
    equal(commands["get"]["key_specifications"], [], "COMMAND")
    equal(client.config_get("maxmemory")["maxmemory"], "0", "CONFIG GET")
    with client.client() as one:
        equal(one.client_getname(), None, "CLIENT GETNAME")
        equal(one.client_setname("me"), True, "CLIENT SETNAME")
        assert one.client_getname() in ("me", b"me"), "CLIENT GETNAME"
        own = one.client_info()
        equal((own["id"], own["name"], own["db"]), (one.client_id(), "me", 0), "CLIENT INFO")
        equal((own["resp"], own["lib-name"]), (str(protocol), "redis-py"), "CLIENT INFO")
        assert any(other["id"] == str(own["id"]) for other in one.client_list()), "CLIENT LIST"
        equal(one.execute_command("SELECT", "default"), True, "SELECT")
        one.set("elsewhere", "v")
        equal(one.execute_command("SELECT", 0), True, "SELECT")
    equal(client.get("elsewhere"), None, "another bucket")


def errors(client):
    refused(lambda: client.execute_command("NOSUCH", "a"), "unknown command 'NOSUCH'", "NOSUCH")
    refused(lambda: client.execute_command("GET"), "wrong number of arguments for 'get' command", "GET")
    refused(lambda: client.set("k", "v", nx=True), "SET with NX or XX is refused", "SET NX")
    refused(lambda: client.set("k", "v", ex=0), "invalid expire time in 'set' command", "SET EX 0")
    refused(lambda: client.incr("k"), "INCRBY is refused: its purpose is atomicity", "INCR")
    refused(lambda: client.lpush("k", "v"), "LPUSH is refused: values are strings", "LPUSH")
    refused(lambda: client.expire("k", 5, nx=True), "EXPIRE with NX", "EXPIRE NX")
    refused(lambda: client.select(7), "DB index is out of range", "SELECT 7")
    refused(lambda: client.set("k", b"x" * (1024 * 1024 + 1)), "the value has 1048577 bytes", "a large value")
    refused(lambda: client.get("k" * 1025), "a key has 1 to", "a long key")
    refused(lambda: client.pipeline().set("t", 1).execute(), "is refused", "a transaction")
    other = redis.Redis(**ADDRESS, password="secret", protocol=2)
    refused(other.ping, "without any password", "AUTH")
    equal(client.ping(), True, "PING after errors")


def expiries(client, protocol):
    key = f"expires-{protocol}"
    equal(client.ttl(key), -2, "TTL of nothing")
    equal(client.set(key, "v", ex=100), True, "SET EX")
    assert 99 <= client.ttl(key) <= 100, "TTL"
    assert 99_000 <= client.pttl(key) <= 100_000, "PTTL"
    equal(client.persist(key), True, "PERSIST")
    equal(client.ttl(key), -1, "TTL of what stays")
    equal(client.pexpire(key, 50), True, "PEXPIRE")
    time.sleep(0.1)
    equal(client.get(key), None, "GET of what has expired")
    equal(client.expire(key, 5), False, "EXPIRE of what has expired")


def starts_again():
    client = redis.Redis(**ADDRESS, protocol=2, single_connection_client=True)
    client.client_setname("me")
    assert client.reset() in ("RESET", b"RESET"), "RESET"
    equal(client.client_getname(), None, "CLIENT GETNAME after RESET")
    client.close()


def siblings(client, protocol):
    with client.client() as one:
        one.execute_command("SELECT", "default")
        key = f"siblings-{protocol}"
        for value in "ab":
            one.execute_command("KV.PUT", key, value, "BLIND")
        refused(lambda: one.get(key), "SIBLINGS the key has 2 concurrent values", "GET")
        read = one.execute_command("KV.GET", key)
        read = read if protocol == 3 else dict(zip(read[::2], read[1::2]))
        equal(sorted(read[b"values"]), [b"a", b"b"], "KV.GET")
        one.execute_command("KV.PUT", key, "c", "CONTEXT", read[b"context"])
        equal(one.get(key), b"c", "GET after a merge")
        one.execute_command("SELECT", 0)


def pipelines(client, name):
    with client.pipeline(transaction=False) as pipe:
        for number in range(2_000):
            pipe.set(f"{name}-{number}", number)
            pipe.get(f"{name}-{number}")
        replies = pipe.execute()
    equal(replies[0::2], [True] * 2_000, "SETs of a pipeline")
    equal(replies[1::2], [str(number).encode() for number in range(2_000)], "GETs of a pipeline")
    with client.pipeline(transaction=False) as pipe:
        pipe.set(f"{name}-p", 1).incr(f"{name}-p").get(f"{name}-p")
        first, second, third = pipe.execute(raise_on_error=False)
    equal((first, third), (True, b"1"), "a pipeline with an error in its middle")
    assert isinstance(second, redis.ResponseError) and "refused" in str(second), repr(second)
    # redis-py sends all before it reads.
    client.set(f"{name}-large", b"x" * 1_000)
    with client.pipeline(transaction=False) as pipe:
        for _ in range(20_000):
            pipe.get(f"{name}-large")
        replies = pipe.execute()
    equal(sum(map(len, replies)), 20_000_000, "bytes of a pipeline of 20,000")


def threads(protocol):
    pool = redis.ConnectionPool(**ADDRESS, protocol=protocol, max_connections=8)
    wrong = []

    def work(thread):
        try:
            client = redis.Redis(connection_pool=pool)
            for number in range(100):
                key, value = f"thread-{protocol}-{thread}", f"{thread}-{number}"
                client.set(key, value)
                equal(client.get(key), value.encode(), key)
        except Exception as error:  # the thread's failure is the test's
            wrong.append(f"thread {thread}: {error!r}")

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    pool.disconnect()
    equal(wrong, [], "eight threads with a pool")


async def tasks(protocol):
    client = redis.asyncio.Redis(**ADDRESS, protocol=protocol)

    async def work(task):
        for number in range(20):
            key, value = f"task-{protocol}-{task}", f"{task}-{number}"
            await client.set(key, value)
            equal(await client.get(key), value.encode(), key)

    await asyncio.gather(*(work(task) for task in range(50)))
    async with client.pipeline(transaction=False) as pipe:
        for number in range(500):
            pipe.set(f"async-{number}", number)
        equal(await pipe.execute(), [True] * 500, "a pipeline of asyncio")
    await client.aclose()


def decoded(protocol):
    client = redis.Redis(**ADDRESS, protocol=protocol, decode_responses=True)
    client.set("text", "größer")
    equal(client.get("text"), "größer", "decode_responses")
    equal(client.mget("text", "no-text"), ["größer", None], "decode_responses")
    equal(client.type("text"), "string", "decode_responses")
    equal(client.info()["redis_mode"], "standalone", "decode_responses")


def health(protocol):
    client = redis.Redis(**ADDRESS, protocol=protocol, health_check_interval=1, single_connection_client=True)
    client.set("health", "v")
    # As if the last check were long ago: PING goes before the next command.
    before = client.info("stats")["total_commands_processed"]
    client.connection.next_health_check = 0.001
    equal(client.get("health"), b"v", "GET behind a health check")
    after = client.info("stats")["total_commands_processed"]
    assert after - before >= 3, f"PING, GET and INFO are three commands, not {after - before}"
    client.close()


for protocol in (2, 3):
    client = redis.Redis(**ADDRESS, protocol=protocol)
    values(client, f"plain-{protocol}")
    scans(client, f"plain-{protocol}")
    about(client, protocol)
    errors(client)
    expiries(client, protocol)
    siblings(client, protocol)
    pipelines(client, f"piped-{protocol}")
    threads(protocol)
    asyncio.run(tasks(protocol))
    decoded(protocol)
    health(protocol)
    client.close()
    print(f"RESP{protocol}: all as expected of redis-py {redis.__version__}")
starts_again()
# Without a choice of protocol the client takes what it likes best.
equal(redis.Redis.from_url(f"redis://{HOST}:{PORT}/0").ping(), True, "a client from an address")
