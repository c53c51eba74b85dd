//! Weights and the order of classes.

use crate::place::{Place, rows};
use std::fs;

/// Rows of which every fourth `bad` one is kept.
fn uneven(place: &Place) {
    let (text, mut bad) = (rows(160), 0);
    let kept = |line: &&str| {
        bad += usize::from(line.ends_with(",0"));
        !line.ends_with(",0") || bad % 4 == 0
    };
    fs::write(place.path("rows.csv"), text.lines().filter(kept).collect::<Vec<_>>().join("\n")).unwrap();
}

/// The probability of the first class, summed over all rows.
fn first_class(place: &Place, adapter: &str) -> f64 {
    let said = place.run(&format!("predict rows.csv --adapter {adapter} --threads 1")).ok().stdout;
    assert!(said.starts_with("line,label,p_0,p_1\n"), "{said}");
    said.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn weights_move_answers_to_heavier_classes() {
    let place = Place::new();
    uneven(&place);
    for method in ["lora", "features", "features-mlp"] {
        let train = |weights: &str, output: &str| {
            place.train(&format!("--method {method} --epochs 1 {weights} --output {output}")).ok();
            first_class(&place, output)
        };
        let (light, heavy) =
            (train("--class-weights 0=0.02", "light"), train("--class-weights 0=50,1=1", "heavy"));
        assert!(light < heavy, "{method}: {light} {heavy}");
        let recipe = place.read("heavy/recipe.toml");
        assert!(recipe.contains("[train.class_weights]") && recipe.contains("0 = 50.0"), "{recipe}");
    }
    place.train("--epochs 1 --class-weights balanced --output balanced").ok();
    assert!(place.read("balanced/recipe.toml").contains("class_weights = \"balanced\""));
    let again = "train --recipe balanced/recipe.toml --threads 1 --output again";
    place.run(again).ok();
    place.run(&format!("{again} --set train.class_weights={{x=1}}")).fails(1, &["no label `x`", "`0`, `1`"]);
    let bytes = |name: &str| fs::read(place.path(name).join("adapter_model.safetensors")).unwrap();
    assert!(bytes("balanced") == bytes("again"), "other bytes");
    place.train("--epochs 1 --output plain").ok();
    assert!(bytes("balanced") != bytes("plain"), "the weights change what is trained");
}

#[test]
fn what_can_not_be_weighted_is_said() {
    let place = Place::new();
    let words = ["`features-knn` has no loss", "--class-weights"];
    place.train("--method features-knn --class-weights balanced --output out").fails(1, &words);
    place.train("--class-weights 0=-1 --output out").fails(2, &["spam=5,ham=1"]);
    place.train("--class-weights 7=2 --output out").fails(1, &["no label `7`; there are `0`, `1`"]);
    let ran = place.run(
        "compare rows.csv --model model --threads 1 --methods head,features-knn,features --no-tune --epochs 1 \
         --class-weights balanced --output both --json",
    );
    let ran = ran.ok();
    assert!(ran.stderr.contains("left out: features-knn (they have no loss"), "{}", ran.stderr);
    assert_eq!(ran.json()["rows"].as_array().unwrap().len(), 2);
    let none = "compare rows.csv --model model --methods features-knn --class-weights balanced --output none";
    place.run(none).fails(1, &words);
    let language = "train rows.csv --task language-model --model model --output out";
    place
        .run(&format!("{language} --class-weights balanced"))
        .fails(2, &["--class-weights is for classification"]);
    place.run(&format!("{language} --labels 0,1")).fails(2, &["--labels is for classification"]);
}

#[test]
fn labels_decide_the_order_of_classes() {
    let place = Place::new();
    place.train("--epochs 1 --labels 1,0,maybe --output out").ok();
    let said = place.run("predict rows.csv --adapter out --threads 1").ok().stdout;
    assert!(said.starts_with("line,label,p_1,p_0,p_maybe\n"), "{said}");
    assert!(place.read("out/recipe.toml").contains("labels = ["));
    place.train("--labels 1,2 --output out").fails(1, &["the label `0` was not among", "`1`, `2`"]);
    place.train("--labels 1 --output out").fails(1, &["two labels or more"]);
}
