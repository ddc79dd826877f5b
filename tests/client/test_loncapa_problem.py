"""Whole problems as an author writes them: rendered for a student, answered, graded."""

import io
import zipfile

import pytest
import random2
from problems import grades, paragraphs

RANDOMIZED = """
    <problem>
      <script type="loncapa/python">
    import random
    a = random.randint(100, 999)
    b = random.choice([3, 7, 11, 13])
    samples = sorted(random.sample(range(50), 4))
    product = a * b
      </script>
      <p>What is $a times $b?</p>
      <p>The samples are $samples.</p>
      <numericalresponse answer="$product"><textline label="Product"/></numericalresponse>
    </problem>
"""


@pytest.mark.parametrize("seed", [1, 2, 723, 999])
def test_a_randomized_problem_shows_the_numbers_of_the_students_seed(problem, seed):
    random = random2.Random(seed)
    a = random.randint(100, 999)
    b = random.choice([3, 7, 11, 13])
    samples = sorted(random.sample(range(50), 4))

    for _ in range(2):
        randomized = problem(RANDOMIZED, seed)
        assert paragraphs(randomized) == [
            f"What is {a} times {b}?",
            f"The samples are {samples}.",
        ]
        assert grades(randomized, _2_1=str(a * b)) == [("correct", 1, "")]
        assert grades(randomized, _2_1=str(a * b + 1)) == [("incorrect", 0, "")]


def test_a_check_function_grades_with_numpy(problem):
    eigenvalues = problem("""
        <problem>
          <script type="loncapa/python">
        import numpy as np

        matrix = np.array([[2.0, 1.0], [1.0, 2.0]])
        shown = matrix.tolist()

        def check(expect, answer):
            given = np.sort(np.array([float(part) for part in answer.split(',')]))
            right = np.linalg.eigvalsh(matrix)
            near = np.isclose(given, right)
            if near.all():
                return {'ok': True, 'msg': 'sum {:.1f}'.format(given.sum())}
            if near.any():
                return {'ok': 'partial', 'msg': 'one is right', 'grade_decimal': 0.25}
            return {'ok': False, 'msg': 'expected ' + expect}
          </script>
          <p>The eigenvalues of $shown?</p>
          <customresponse cfn="check" expect="1, 3"><textline label="Both"/></customresponse>
        </problem>
    """)
    assert paragraphs(eigenvalues) == ["The eigenvalues of [[2.0, 1.0], [1.0, 2.0]]?"]
    assert grades(eigenvalues, _2_1="3, 1") == [("correct", 1, "sum 4.0")]
    assert grades(eigenvalues, _2_1="1, 4") == [("partially-correct", 0.25, "one is right")]
    assert grades(eigenvalues, _2_1="5, 6") == [("incorrect", 0, "expected 1, 3")]


def test_a_check_function_judges_several_inputs_with_what_it_asks_for(problem):
    two_inputs = problem("""
        <problem>
          <script type="loncapa/python">
        def check(expect, answers, seed, options):
            return {
                'overall_message': 'seed {}, {}'.format(seed, options),
                'input_list': [
                    {'ok': answer == part, 'msg': answer}
                    for answer, part in zip(answers, expect.split('+'))
                ],
            }
          </script>
          <customresponse cfn="check" expect="x+y" options="strict" cfn_extra_args="seed options">
            <textline label="First"/><textline label="Second"/>
          </customresponse>
        </problem>
    """)
    # The client takes `options` from the context, where it puts them when it grades.
    assert grades(two_inputs, _2_1="x", _2_2="z") == [
        ("correct", 1, "x"),
        ("incorrect", 0, "z"),
    ]
    assert two_inputs.correct_map.get_overall_message() == "seed 723, strict"


def test_an_answer_element_grades_in_place(problem):
    inline = problem("""
        <problem>
          <customresponse expect="ten">
            <textline label="Number"/>
            <answer>
        correct[0] = 'correct' if submission[0] == expect else 'incorrect'
        messages[0] = 'you said ' + submission[0]
            </answer>
          </customresponse>
        </problem>
    """)
    assert grades(inline, _2_1="ten") == [("correct", 1, "you said ten")]
    assert grades(inline, _2_1="nine") == [("incorrect", 0, "you said nine")]


def test_a_problem_uses_the_courses_python_lib(problem):
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("physics/__init__.py", "")
        archive.writestr("physics/units.py", "def km(metres):\n    return metres / 1000\n")
        archive.writestr("grading.py", "def near(a, b):\n    return abs(a - b) < 0.01\n")

    distance = problem(
        """
        <problem>
          <script type="loncapa/python">
        from physics.units import km
        import grading

        metres = random.randint(1000, 9999)
        expected = km(metres)

        def check(expect, answer):
            return grading.near(float(answer), km(metres))
          </script>
          <p>How many kilometres are $metres metres?</p>
          <customresponse cfn="check" expect="$expected"><textline label="km"/></customresponse>
        </problem>
        """,
        seed=5,
        python_lib=library.getvalue(),
    )
    metres = random2.Random(5).randint(1000, 9999)
    assert paragraphs(distance) == [f"How many kilometres are {metres} metres?"]
    assert grades(distance, _2_1=str(metres / 1000)) == [("correct", 1, "")]
    assert grades(distance, _2_1=str(metres)) == [("incorrect", 0, "")]


def test_a_formula_is_compared_at_sampled_points(problem):
    formula = problem("""
        <problem>
          <script type="loncapa/python">
        from sympy import diff, symbols
        x = symbols('x')
        derivative = str(diff(x**3 + 2*x, x)).replace('**', '^')
          </script>
          <p>The derivative of x^3 + 2*x?</p>
          <formularesponse type="cs" samples="x@1:10#10" answer="$derivative">
            <responseparam type="tolerance" default="0.00001"/>
            <formulaequationinput label="f'(x)"/>
          </formularesponse>
        </problem>
    """)
    assert formula.context["derivative"] == "3*x^2 + 2"
    assert grades(formula, _2_1="2 + 3*x*x") == [("correct", 1, "")]
    assert grades(formula, _2_1="3*x*x") == [("incorrect", 0, "")]


def test_a_hint_function_looks_at_the_answer(problem):
    hinted = problem("""
        <problem>
          <script type="loncapa/python">
        def hint(answer_ids, student_answers, new_cmap, old_cmap):
            given = student_answers[answer_ids[0]]
            new_cmap.set_hint_and_mode(answer_ids[0], 'not ' + given, 'always')
          </script>
          <numericalresponse answer="4">
            <textline label="Two and two"/>
            <hintgroup hintfn="hint"/>
          </numericalresponse>
        </problem>
    """)
    assert grades(hinted, _2_1="5") == [("incorrect", 0, "")]
    assert hinted.correct_map.get_hint("p_2_1") == "not 5"
