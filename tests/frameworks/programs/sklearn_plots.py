"""scikit-learn with the plots that wandb ships."""

import numpy
import wandb
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split


def main():
    with wandb.init(name="classifier"):
        x, y = make_classification(n_samples=120, n_features=4, random_state=1)
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=1)
        model = LogisticRegression().fit(x_train, y_train)
        wandb.sklearn.plot_roc(y_test, model.predict_proba(x_test), ["no", "yes"])
        wandb.sklearn.plot_precision_recall(y_test, model.predict_proba(x_test), ["no", "yes"])
        wandb.sklearn.plot_confusion_matrix(y_test, model.predict(x_test), ["no", "yes"])
        wandb.sklearn.plot_class_proportions(y_train, y_test, ["no", "yes"])
        wandb.sklearn.plot_summary_metrics(model, x_train, y_train, x_test, y_test)
        wandb.sklearn.plot_learning_curve(model, x_train, y_train)
        wandb.sklearn.plot_feature_importances(model, list("abcd"))
    with wandb.init(name="regressor"):
        x, y = make_regression(n_samples=120, n_features=4, random_state=1)
        model = Ridge().fit(x, y)
        wandb.sklearn.plot_residuals(model, x, y)
        wandb.sklearn.plot_outlier_candidates(model, x, numpy.asarray(y))


main()
