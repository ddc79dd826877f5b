"""Problems as a student sees them: the real client makes them of XML, renders, answers and grades them."""

import gettext
import textwrap
from types import SimpleNamespace

from django.template.loader import get_template
from lxml import html
from xblocks_contrib.problem.capa.capa_problem import LoncapaProblem, LoncapaSystem


def make_problem(directory, xml, seed=723, python_lib=None):
    """A LoncapaProblem for a student with this seed. `directory` has the course's files."""
    system = LoncapaSystem(
        ajax_url="/ajax",
        anonymous_student_id="student",
        cache=None,
        can_execute_unsafe_code=lambda: False,
        get_python_lib_zip=lambda: python_lib,
        DEBUG=False,
        i18n=gettext.NullTranslations(),
        render_template=lambda name, context: get_template(name).render(context),
        # It has no directory `code`, which the client would name in python_path.
        resources_fs=SimpleNamespace(root_path=str(directory)),
        seed=seed,
        xqueue=None,
    )
    block = SimpleNamespace(correctness_available=lambda: True)
    return LoncapaProblem(textwrap.dedent(xml), "p", system, block, seed=seed)


def paragraphs(a_problem):
    """The text of each <p> that the student reads."""
    page = html.fromstring(a_problem.get_html())
    texts = (" ".join(p.text_content().split()) for p in page.iter("p"))
    return [text for text in texts if text]


def grades(a_problem, **answers):
    """Correctness, points and message of each input."""
    a_problem.grade_answers({f"p_{number[1:]}": answer for number, answer in answers.items()})
    correct_map = a_problem.correct_map
    return [
        (correct_map.get_correctness(key), correct_map.get_npoints(key), correct_map.get_msg(key))
        for key in sorted(correct_map)
    ]
