package greet;

/** Says hello. */
public final class Main {
    private Main() {}

    /** The program. */
    public static void main(String[] args) {
        System.out.println("hello from Java");
    }
}
