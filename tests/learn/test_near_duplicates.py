from connector.learn.near_duplicates import NEAR, clusters

LINE = (
    "process start | cmd.exe | command cmd.exe /c copy report one two three four five six seven eight nine ten to {} "
    "| parent explorer.exe in windows | parent command explorer.exe | integrity high | user user"
)


def test_texts_that_differ_in_a_word_or_two_are_one_cluster_and_others_are_not() -> None:
    texts = [LINE.format("drive"), "registry value set | run key of another thing altogether", LINE.format("tape"), ""]

    assert clusters(texts) == [0, 1, 0, 3]


def test_a_short_command_that_differs_is_no_copy() -> None:
    assert clusters(["process start | whoami.exe | command whoami", "process start | ping.exe | command ping"]) == [
        0,
        1,
    ]


def test_clusters_join_through_a_text_between_them() -> None:
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(words[at : at + 50]) for at in (0, 4, 8)]

    assert clusters(texts) == [0, 0, 0]
    assert NEAR <= 44 / 52 < 1


def test_there_may_be_no_text() -> None:
    assert clusters([]) == []
