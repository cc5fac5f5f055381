"""Terminals, input, attaching and leaving: the same on every engine that runs real programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contract.engine_fixtures import DEADLINE, ClientBench, EmbeddedBench, RealBench, executed, ready
from contract.talk import hang_up, pipes, terminal
from programs.waiting import until
from tiffin.engine.spec import CanAttach, Status, Streams
from tiffin.errors import ConfigError, ConflictError, NotFoundError
from unit.cli.test_attach import stock
from unit.cli.test_attach import terminal as at_a_terminal

ASK = "echo -n 'name? '; read name; busybox printf '\\377 %s\\n' $name; exit 7"


class TestAttaching:
    def test_a_prompt_without_a_line_feed_appears_and_bytes_are_passed_as_they_are(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", ASK, stdin=True))
        with pipes(container) as talk:
            talk.see(b"name? ")
            talk.type(b"you\n")
            talk.see(b"name? \xff you\n")
            assert talk.end() == 7
        assert talk.started.is_set()
        assert container.state().exit_code == 7

    def test_its_input_ends_with_that_of_whoever_runs_it(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "cat; echo over", stdin=True))
        with pipes(container) as talk:
            talk.type(b"words\n")
            talk.see(b"words\n")
            hang_up(talk)
            talk.see(b"over\n")
            assert talk.end() == 0

    def test_a_terminal_types_into_what_has_none(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "read line; echo got $line; test -t 0; exit $?", stdin=True))
        with terminal(container) as talk:
            talk.type(b"words\r")
            talk.see(b"got words")
            assert talk.end() == 1

    def test_what_has_no_input_reads_nothing_whatever_is_typed(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "cat; echo over"))
        with pipes(container) as talk:
            talk.type(b"words\n")
            talk.see(b"over\n")
            assert talk.end() == 0
        assert b"words" not in talk.seen

    def test_all_that_a_short_program_writes_is_seen(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "echo out; echo err >&2; exit 3"))
        with pipes(container, stdin=False) as talk:
            talk.see(b"out\n")
            talk.see(b"err\n")
            assert talk.end() == 3

    def test_a_mebibyte_goes_in_and_comes_out(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "cat", stdin=True))
        piece = bytes(range(256)) * 64
        with pipes(container) as talk:
            for number in range(64):
                talk.type(piece)
                talk.see_bytes(len(piece) * (number + 1))
            hang_up(talk)
            assert talk.end() == 0
        assert talk.seen == piece * 64

    def test_what_cannot_be_started_is_refused_and_shows_nothing(self, real: RealBench) -> None:
        with pytest.raises(NotFoundError, match="no program '/bin/absent'"):
            run_what_is_absent(real)

    def test_what_does_not_run_is_not_attached_to(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "true"))
        with pytest.raises(ConflictError, match="aa does not run"), pipes(container, runs=False):
            pass

    def test_keys_that_are_none_are_refused(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "true"))
        assert isinstance(container, CanAttach)
        with pytest.raises(ConfigError, match="not keys to detach with: 'ctrl-1'"):
            container.attach(Streams(stdout=1, stderr=2), "ctrl-1")

    def test_several_see_the_same_and_may_all_type(self, real: RealBench) -> None:
        container = real.engine.create(
            real.spec("aa", "echo ready; while read line; do echo got $line; done", stdin=True)
        )
        container.start()
        ready(container)
        with pipes(container, runs=False) as one, pipes(container, runs=False) as other:
            for talk in (one, other):  # until both are there: what was written before is not shown to them
                until(lambda talk=talk: talk.type(b"there\n") or talk.sees(b"got there"))
            one.type(b"one\n")
            other.type(b"other\n")
            for talk in (one, other):
                talk.see(b"got one\n")
                talk.see(b"got other\n")
            container.kill()
            assert (one.end(), other.end()) == (137, 137)


def run_what_is_absent(real: RealBench) -> None:
    with pipes(real.engine.create(real.spec("aa", "", argv=("/bin/absent",)))) as talk:
        talk._thread.join(DEADLINE)
        assert not talk.sees(b"absent")
        assert not talk.started.is_set()


class TestTerminals:
    def test_it_is_a_terminal_as_large_as_the_callers_and_speaks(self, real: RealBench) -> None:
        size = "until busybox stty size 2>/dev/null | busybox grep 33; do busybox usleep 10000; done"
        script = (
            f"test -t 0 && test -t 1 && test -t 2 && echo $TERM; read line; echo got $line; {size}; read line; exit 9"
        )
        container = real.engine.create(real.spec("aa", script, stdin=True, tty=True))
        with terminal(container) as talk:
            talk.see(b"xterm\r\n")
            talk.type(b"words\r")
            talk.see(b"got words\r\n")
            talk.see(b"33 101\r\n")
            talk.type(b"\r")
            assert talk.end() == 9
        assert "got words" in [line.text.rstrip("\r") for line in container.logs()]

    def test_one_that_is_removed_at_its_end_tells_its_exit_code_before(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "read line; exit 9", stdin=True, tty=True, remove=True))
        with terminal(container, stops=False) as talk:
            talk.type(b"\r")
            assert talk.end() == 9
        until(lambda: not real.engine.list())

    def test_one_that_was_left_is_removed_at_its_end_where_that_was_asked(self, real: RealBench) -> None:
        script = "echo ready; read line; read line; exit 9"
        container = real.engine.create(real.spec("aa", script, stdin=True, tty=True, remove=True))
        with terminal(container, stops=False) as talk:
            talk.see(b"ready")
            talk.leave(b"\x10\x11")
            assert talk.end() is None
        assert container.state().status is Status.RUNNING
        container.stop(0)
        until(lambda: not real.engine.list())

    def test_ctrl_c_is_the_programs(self, real: RealBench) -> None:
        script = "trap 'echo caught; exit 4' INT; echo waiting; while :; do busybox usleep 10000; done"
        container = real.engine.create(real.spec("aa", script, stdin=True, tty=True))
        with terminal(container) as talk:
            talk.see(b"waiting")
            talk.type(b"\x03")
            talk.see(b"caught")
            assert talk.end() == 4

    def test_a_shell_has_job_control(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "", argv=("/bin/sh",), stdin=True, tty=True))
        with terminal(container) as talk:
            talk.see(b"$ ")
            talk.type(b"sleep 500\r")
            until(lambda: executed(container, "/bin/busybox", "pidof", "sleep")[0] == 0)
            talk.type(b"\x03")
            talk.type(b"echo code $?\r")
            talk.see(b"code 130")
            talk.type(b"exit 6\r")
            assert talk.end() == 6
        assert b"job control" not in talk.seen

    def test_the_keys_leave_it_and_it_goes_on_and_can_be_attached_to_again(self, real: RealBench) -> None:
        script = "echo waiting; read line; echo got $line; exit 5"
        container = real.engine.create(real.spec("aa", script, stdin=True, tty=True))
        with terminal(container, stops=False) as talk:
            talk.see(b"waiting")
            talk.leave(b"\x10\x11")
            assert talk.end() is None
        assert container.state().status is Status.RUNNING
        with terminal(container, runs=False) as talk:
            talk.type(b"half \x10 a \x10\x10line\r")
            talk.see(b"got half \x10 a \x10\x10line")
            assert talk.end() == 5

    def test_what_was_started_alone_can_be_attached_to(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "read line; echo got $line", stdin=True, tty=True))
        container.start()
        with terminal(container, runs=False) as talk:
            talk.type(b"words\r")
            talk.see(b"got words\r\n")
            assert talk.end() == 0

    def test_without_input_nothing_is_typed_into_it(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "test -t 1 && echo terminal", tty=True))
        with terminal(container) as talk:
            talk.see(b"terminal\r")
            assert talk.end() == 0


class TestTheCommandLineWithDocker:
    @pytest.mark.program("dockerd", "busybox")
    def test_ctrl_c_stops_what_has_no_terminal_however_early_and_is_the_programs_where_it_has_one(
        self, docker: ClientBench, tmp_path: Path
    ) -> None:
        stock(tmp_path)
        more = docker.engine._program._environment | {"TIFFIN_ENGINE": "docker", "PATH": os.environ["PATH"]}
        script = (
            "trap 'echo stopped; exit 6' TERM; trap 'echo key; exit 4' INT; echo waiting; while :; do sleep 0.05; done"
        )
        for options, heard, code in (("-i", b"stopped", 6), ("--name=aa", b"stopped", 6), ("-it", b"key", 4)):
            with at_a_terminal(tmp_path, "run", options, "--rm", "box", "sh", "-c", script, more=more) as screen:
                screen.see(b"waiting")
                screen.type(b"\x03")
                screen.see(heard)
                assert screen.end() == code
        assert docker.engine.list() == []


class TestWhatOnlyTheEmbeddedEngineDoes:
    def test_a_terminal_is_its_first_process_own_and_nothing_else_is_handed_in(self, embedded: EmbeddedBench) -> None:
        script = "ls /proc/self/fd | wc -l; busybox tty; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs|Seccomp:'"
        container = embedded.engine.create(embedded.spec("aa", script, stdin=True, tty=True))
        with terminal(container) as talk:
            talk.see(b"Seccomp:")
            assert talk.end() == 0
        seen = " ".join(line.text for line in container.logs()).split()
        shown = ["4", "/dev/console", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]
        assert seen == shown  # 0, 1, 2, and the one that `ls` has open

    def test_a_slow_reader_gets_all_of_it_also_after_the_end(self, embedded: EmbeddedBench) -> None:
        container = embedded.engine.create(embedded.spec("aa", "busybox head -c 900000 /dev/zero; echo over >&2"))
        with pipes(container) as talk:
            until(lambda: container.state().status is Status.EXITED)
            talk.see_bytes(900_005)
            assert talk.end() == 0

    def test_one_who_reads_nothing_holds_the_program_back(self, embedded: EmbeddedBench) -> None:
        script = "read line; busybox head -c 9000000 /dev/zero; echo over >&2; read line"
        container = embedded.engine.create(embedded.spec("aa", script, stdin=True))
        container.start()
        with pipes(container, runs=False) as idle, pipes(container, runs=False) as other:
            other.type(b"go\n")
            other.see_bytes(1_000_000)
            assert b"over" not in other.seen
            for step in range(1, 91):
                for talk in (idle, other):
                    talk.see_bytes(100_000 * step)
            other.see_bytes(9_000_005)
            idle.see_bytes(9_000_005)
            other.type(b"end\n")
            assert other.end() == 0

    def test_input_goes_on_when_one_who_only_attached_has_no_more(self, embedded: EmbeddedBench) -> None:
        container = embedded.engine.create(
            embedded.spec("aa", "read line; echo first $line; read line; echo then $line", stdin=True)
        )
        container.start()
        with pipes(container, runs=False) as one:
            one.type(b"one\n")
            one.see(b"first one\n")
            hang_up(one)
            with pipes(container, runs=False) as other:
                other.type(b"two\n")
                other.see(b"then two\n")
                assert (one.end(), other.end()) == (0, 0)
