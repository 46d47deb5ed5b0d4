"""scikit-learn: charts of models, `wandb.sklearn.plot_classifier(…)` and its parts.

Each function logs one row with a table under a fixed key, and tells the panel that draws it. What a function cannot draw it says in the
terminal; only wrong shapes raise. scikit-learn is imported by the first call.
"""

from __future__ import annotations

from .classifier import plot_calibration_curve as plot_calibration_curve
from .classifier import plot_class_proportions as plot_class_proportions
from .classifier import plot_classifier as plot_classifier
from .classifier import plot_confusion_matrix as plot_confusion_matrix
from .classifier import plot_feature_importances as plot_feature_importances
from .classifier import plot_precision_recall as plot_precision_recall
from .classifier import plot_roc as plot_roc
from .clusterer import plot_clusterer as plot_clusterer
from .clusterer import plot_elbow_curve as plot_elbow_curve
from .clusterer import plot_silhouette as plot_silhouette
from .regressor import plot_outlier_candidates as plot_outlier_candidates
from .regressor import plot_regressor as plot_regressor
from .regressor import plot_residuals as plot_residuals
from .shared import plot_learning_curve as plot_learning_curve
from .shared import plot_summary_metrics as plot_summary_metrics
