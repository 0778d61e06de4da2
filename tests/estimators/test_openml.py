import numpy as np
import pytest

from sklearn_looped import LoopedICLRegressor


@pytest.mark.openml
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # openml's own
def test_a_run_of_openml_is_that_of_fit_and_predict_on_the_official_folds(offline_openml):
    import openml
    from openml.extensions.sklearn import SklearnExtension

    model = LoopedICLRegressor(n_estimators=1, random_state=0)
    with offline_openml(695, 5005):  # chatfield_4
        task = openml.tasks.get_task(5005, download_splits=True)
        run = openml.runs.run_model_on_task(
            model, task, avoid_duplicate_runs=False, upload_flow=False
        )
        X, y, *_ = task.get_dataset().get_data(target=task.target_name)
        folds = [task.get_train_test_split_indices(fold=fold) for fold in range(10)]

    of_run = np.array(run.data_content)[:, 1:]  # fold, row, prediction, truth
    for fold, (train, test) in enumerate(folds):
        expected = model.fit(X.iloc[train], y.iloc[train]).predict(X.iloc[test])
        _, rows, predictions, truth = of_run[of_run[:, 0] == fold].T
        np.testing.assert_array_equal(rows, test)
        np.testing.assert_allclose(predictions, expected, rtol=1e-6)
        np.testing.assert_array_equal(truth, y.iloc[test])

    assert run.flow.name == "sklearn_looped.estimators.in_context.regressor.LoopedICLRegressor"
    rebuilt = SklearnExtension().flow_to_model(run.flow)
    assert rebuilt.get_params() == model.get_params()
