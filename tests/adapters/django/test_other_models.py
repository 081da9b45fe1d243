"""Users of a model that inherits from the project's, and users who are added over a row that is there: what happens to
them happens to their own sessions, and to nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import connection, models

from coatcheck import Mode
from coatcheck.django import cut_off, user_changed
from tests.adapters.django.browser import PASSWORD, Browser


class Employee(User):
    """It has a key of its own, which may be somebody else's as a user."""

    # Django asks nobody about it when it deletes users in other tests, where there is no such table.
    user = models.OneToOneField(User, models.DO_NOTHING, parent_link=True)
    code = models.AutoField(primary_key=True)

    class Meta:
        app_label = "auth"


class Member(User):
    """It has the user's key, as Django makes it."""

    user_ptr = models.OneToOneField(User, models.DO_NOTHING, parent_link=True, primary_key=True)

    class Meta:
        app_label = "auth"


@pytest.fixture(scope="module", autouse=True)
def _models(tables: None) -> Iterator[None]:
    with connection.schema_editor() as editor:
        editor.create_model(Employee)
        editor.create_model(Member)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Member)
        editor.delete_model(Employee)


@pytest.fixture
def both(browser: Browser, ann: User) -> Iterator[tuple[Any, Browser, Browser]]:
    """An employee whose code is the id of a bystander, and the two of them, logged in."""
    employee = Employee(username=f"{ann.username}-employee", code=ann.pk)
    employee.set_password(PASSWORD)
    employee.save()
    assert employee.pk == ann.pk != employee.user_id
    user = User.objects.get(pk=employee.user_id)
    theirs, bystander = Browser(), Browser()
    assert theirs.enter(user, Mode.JWT).status_code == 200
    assert bystander.enter(ann, Mode.JWT).status_code == 200
    yield employee, theirs, bystander
    employee.delete()


def new_password(user: Any) -> None:
    user.set_password("seven grey herons")
    user.save()


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


@pytest.mark.parametrize("end", [new_password, deactivate, cut_off])
def test_a_key_of_ones_own(both: Any, ann: User, end: Any) -> None:
    """The person's own sessions end, and the bystander stays."""
    employee, theirs, bystander = both
    assert theirs.who() == str(employee.user_id)
    end(employee)
    assert theirs.who() == 401
    assert bystander.who() == str(ann.pk)


def test_what_has_changed(both: Any, ann: User) -> None:
    """A change counts for the person, whose token of before is stale, and for nobody else."""
    employee, theirs, bystander = both
    user_changed(employee)
    assert theirs.who() == 401
    assert bystander.who() == str(ann.pk)


def again(user: User, **changed: Any) -> dict[str, Any]:
    fields = {field.attname: getattr(user, field.attname) for field in User._meta.concrete_fields}
    return fields | changed


def by_key(user: User) -> None:
    User(**again(user, is_active=False)).save()


def by_fixture(user: User) -> None:
    (found,) = serializers.deserialize("json", serializers.serialize("json", [User(**again(user, is_active=False))]))
    found.save()


def by_promotion(user: User) -> None:
    Member(user_ptr_id=user.pk, **again(user, id=None, is_active=False)).save()


@pytest.mark.parametrize("add", [by_key, by_fixture, by_promotion])
def test_added_over_a_row(browser: Browser, ann: User, add: Any) -> None:
    """What is added with the key of a user who is there changes them."""
    assert browser.enter(ann, Mode.JWT).status_code == 200
    assert browser.who() == str(ann.pk)
    add(ann)
    assert browser.who() == 401


def test_a_group_over_a_row(browser: Browser, ann: User) -> None:
    """So with a group, whose name is a role."""
    group = Group.objects.create(name=f"over-{ann.username}")
    ann.groups.add(group)
    assert browser.enter(ann, Mode.JWT).status_code == 200
    assert browser.who() == str(ann.pk)
    Group(pk=group.pk, name=f"renamed-{ann.username}").save()
    assert browser.who() == 401


def test_somebody_new(browser: Browser, ann: User) -> None:
    """Whoever is added with a key that nobody has ends nobody's session."""
    assert browser.enter(ann, Mode.JWT).status_code == 200
    User(pk=ann.pk + 1000, username=f"{ann.username}-new").save()
    assert browser.who() == str(ann.pk)
