def test_search_scores_and_explains(run):
    run("add", "--raw", "Ann has a dog named Max.")
    run("add", "--raw", "Bob plays the cello.")
    found = run("search", "dog", "--top-k", 1, "--explain", "--json").json["results"]
    assert [one["memory"] for one in found] == ["Ann has a dog named Max."]
    assert found[0]["score_details"]
    assert f"{found[0]['score']:.3f}" in run("search", "dog", "-k", 1).stdout


def test_search_without_a_hit_says_so(run):
    result = run("search", "dog")
    assert result.stdout == ""
    assert "No memory" in result.stderr


def test_ask_answers_from_memory(run, agents):
    run("add", "--raw", "Ann has a dog named Max.")
    agents.answers["What is Ann's dog called?"] = "[0]\n**Answer:** Max"
    result = run("ask", "What is Ann's dog called?")
    assert result.stdout.splitlines() == ["Max", "  · Ann has a dog named Max."]
    assert "1 of 1 retrieved memories kept" in result.stderr
    answer = run("ask", "What is Ann's dog called?", "--json").json
    assert (answer["answer"], answer["abstained"], answer["kept"]) == ("Max", False, [0])
    assert answer["agreement"] is None
    assert "100 % agreement; 1 of 1" in run("ask", "What is Ann's dog called?", "--samples", 3).stderr
    assert run("ask", "-", "--json", input="What is Ann's dog called?").json["answer"] == "Max"


def test_ask_abstains(run, agents):
    run("add", "--raw", "Ann has a dog named Max.")
    assert run("ask", "Where does Bob live?", "--json").json["abstained"] is True


def test_list_as_of_a_time(run):
    run("add", "--raw", "Ann moved.")
    assert run("list", "--as-of", "2001-01-01", "--json").json["results"] == []
    assert len(run("list", "--as-of", "2901-01-01", "--json").json["results"]) == 1


def test_a_bad_preset_is_a_usage_error(run):
    assert "Invalid value" in run("search", "dog", "--preset", "best", status=2).stderr
